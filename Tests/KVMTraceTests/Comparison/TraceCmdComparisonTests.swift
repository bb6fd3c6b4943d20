import Foundation
import KVMTrace
import KVMTypes
import Testing

/// Every recording, event by event and number by number, against trace-cmd's account of it.
@Suite("Comparison with trace-cmd", .enabled(if: TraceCmd.path != nil, TraceCmd.missing))
struct TraceCmdComparisonTests {
  /// One of five, unless all are asked for (`tools/all-recordings`).
  private static let sample = Recordings.own.enumerated()
    .filter { ProcessInfo.processInfo.environment["PKVM_REPLAY_ALL"] != nil || $0.offset % 5 == 0 }
    .map(\.element)

  @Test("recordings of the package", arguments: sample)
  func own(_ path: String) throws { try compare(path) }

  @Test(
    "files that others recorded",
    .enabled(if: !Recordings.foreign.isEmpty, "PKVM_REPLAY_FOREIGN names no folder with trace.dat files"),
    arguments: Recordings.foreign)
  func foreign(_ path: String) throws { try compare(path) }

  @Test("files asked for", .enabled(if: !Recordings.asked.isEmpty), arguments: Recordings.asked)
  func asked(_ path: String) throws { try compare(path) }

  private func compare(_ path: String) throws {
    let trace = try TraceFile(path: path)
    #expect(trace.damage.isEmpty)
    let report = try TraceCmd.rawReport(path)
    let outcome = report.withUnsafeBytes { bytes in
      var comparison = ReportComparison(trace, ReportLines(bytes))
      comparison.run()
      return comparison
    }
    for problem in outcome.problems { Issue.record("\(path): \(problem)") }
    #expect(outcome.events > 0)
    print(
      "\((path as NSString).lastPathComponent): \(outcome.events) events and \(outcome.numbers) numbers compared, "
        + "\(outcome.symbols) symbols left out")
  }
}

/// One trace and one report, side by side.
struct ReportComparison {
  private let trace: TraceFile
  private var lines: ReportLines
  private var fields: [UInt16: FieldComparison]
  /// What differs; reading stops at the first few.
  private(set) var problems: [String] = []
  private(set) var events = 0

  /// The most differences that are told.
  private static let problemsMax = 5

  init(_ trace: TraceFile, _ lines: ReportLines) {
    self.trace = trace
    self.lines = lines
    fields = Dictionary(
      trace.formats.formats.map { ($0.id, FieldComparison($0)) }, uniquingKeysWith: { first, _ in first })
  }

  /// How many numbers of an address trace-cmd replaced by a symbol.
  var symbols: Int { fields.values.reduce(0) { $0 + $1.symbols } }
  /// How many numbers were compared.
  var numbers: Int { fields.values.reduce(0) { $0 + $1.compared } }

  mutating func run() {
    var reader = trace.events(.all)
    var counts: [UInt16: UInt64] = [:]
    var first: Nanoseconds?
    var last: Nanoseconds?
    while let run = reader.nextRun() {
      for position in 0..<run.count {
        let record = run[position]
        guard let line = lines.next() else {
          return problems.append(
            "trace-cmd ends \(events) events into the trace, at \(record.time.rawValue) ns")
        }
        compare(record, run.payload(position), line)
        if problems.count >= Self.problemsMax { return }
        if record.kind != .lost {
          events += 1
          counts[record.formatID, default: 0] += 1
          if first == nil { first = record.time }
          last = record.time
        }
      }
    }
    if lines.next() != nil { problems.append("trace-cmd goes on after \(events) events") }

    // The totals that `info` shows are counted apart from the records.
    let statistics = reader.statistics
    if statistics.first != first || statistics.last != last {
      problems.append("first or last stamp: \(statistics) has others than the records")
    }
    for count in statistics.counts {
      let ids = trace.formats.formats.filter { ($0.system, $0.name) == (count.system, count.name) }.map(\.id)
      if ids.reduce(0, { $0 + (counts[$1] ?? 0) }) != count.count {
        problems.append("\(count.name) is counted \(count.count) times")
      }
    }
    if statistics.total != UInt64(events) { problems.append("\(statistics.total) events are counted in all") }
  }

  private mutating func compare(
    _ record: TraceRecord, _ payload: UnsafeRawBufferPointer, _ line: ReportLines.Line
  ) {
    let place = "event \(events)"
    switch line {
    case .lost(let cpu, let count):
      if record.kind != .lost || record.cpu.rawValue != cpu || record.lostCount != count {
        problems.append("\(place): trace-cmd tells of a loss, \(record) is none or another")
      }
    case .event(let event):
      guard record.kind != .lost else {
        return problems.append(
          "\(place): a loss on CPU \(record.cpu.rawValue), of which trace-cmd knows nothing")
      }
      if event.nanoseconds != record.time.rawValue || event.cpu != record.cpu.rawValue
        || event.tid != record.tid.rawValue
      {
        problems.append(
          "\(place): \(record.time.rawValue) ns, CPU \(record.cpu.rawValue), thread \(record.tid.rawValue); "
            + "trace-cmd: \(event.nanoseconds) ns, CPU \(event.cpu), thread \(event.tid)")
      }
      guard fields[record.formatID] != nil else {
        return problems.append("\(place): no format for \(event.name.string)")
      }
      if !event.name.equals(fields[record.formatID]!.name) {
        problems.append("\(place): trace-cmd names it \(event.name.string)")
      } else if let problem = fields[record.formatID]!.mismatch(event.fields, payload, trace.formats) {
        problems.append("\(place), \(event.name.string): \(problem)")
      }
    }
  }
}
