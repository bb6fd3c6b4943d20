import Foundation
import KVMTypes
import Testing
import UnnamedFiles

@testable import KVMTrace

/// The same recording as a trace.dat and as the text that trace-cmd makes of it.
@Suite("Text against trace.dat", .enabled(if: TraceCmd.path != nil, TraceCmd.missing))
struct TextAgainstTraceDatTests {
  static let recordings = [
    "pkvm-nvhe-7.3.4-plain-guest.dat", "kvm-nvhe-6.12.107-memslot-move.dat",
    "pkvm-hvhe-7.3.4-access-tracking.dat",
    "kvm-nvhe-7.3.4-failing-guest.dat",
  ]
  static let options = [["-N"], [], ["-N", "-R", "-t"], ["-N", "-l"]]

  @Test("every event of the text is that of the trace.dat", arguments: recordings, options)
  func equal(recording: String, options: [String]) throws {
    let path = Recordings.path(recording)
    let output = try UnnamedFile()
    try TraceCmd.run(
      ["report"] + options + ["-i", path], output: FileHandle(forWritingAtPath: output.path))
    let text = try TextReading(FileBytes(path: output.path))
    let recorded = try Reading(path: path)
    #expect(text.damage.isEmpty, "\(text.damage.prefix(3))")
    let expected = Dictionary(grouping: recorded.events.filter { $0.kind != .lost }, by: \.cpu)
    let found = Dictionary(grouping: text.events, by: \.cpu)
    #expect(found.mapValues(\.count) == expected.mapValues(\.count))
    var compared = 0
    for (cpu, events) in expected {
      for (event, line) in zip(events, found[cpu] ?? []) {
        guard let problem = Self.difference(event, line, recorded, isExact: options.contains("-t")) else {
          compared += 1
          continue
        }
        Issue.record("\(recording) \(options): CPU \(cpu) at \(event.time): \(problem)")
        return
      }
    }
    #expect(compared == recorded.statistics.total)
    #expect(text.trace.cpuCount == recorded.trace.cpuCount)
  }

  /// What differs between an event and its line, nil for nothing.
  private static func difference(
    _ event: Reading.Event, _ line: TextReading.Event, _ reading: Reading, isExact: Bool
  ) -> String? {
    let format = reading.trace.formats.format(id: event.record.formatID)!
    guard line.name.hasSuffix(":\(format.name)") else { return "\(format.name) is \(line.name)" }
    guard line.tid == event.tid else { return "\(format.name) of \(event.tid) is of \(line.tid)" }
    let time = isExact ? event.time : (event.time + 500) / 1000 * 1000
    guard line.time == time else { return "\(format.name) is at \(line.time)" }
    guard line.kind == event.kind else { return "\(format.name) is \(line.kind)" }
    let values = reading.values(event)
    for field in format.fields where field.isScalar {
      guard let bits = bits(values[field.name]), let found = line[field.name] else { continue }
      // libtraceevent takes no errno for negative, and prints those exits like others; only -R has the number.
      if format.name == "kvm_userspace_exit", field.name == "errno", line["errno"] == 0 { continue }
      let unused = UInt64(64 - 8 * field.size)
      guard bits << unused == found << unused else {
        return "\(format.name).\(field.name) is \(found), not \(bits)"
      }
    }
    if event.kind != .other, event.kind != .marker, event.kind != .userspaceExit {
      let schema = EventSchema.all.first { $0.kind == event.kind }!
      for field in schema.fields where event.record[field] != line.record[field] {
        return "\(format.name).\(field.name) is \(line.record[field]), not \(event.record[field])"
      }
    }
    return nil
  }

  private static func bits(_ value: FieldValue?) -> UInt64? {
    switch value {
    case .signed(let number): UInt64(bitPattern: number)
    case .unsigned(let number): number
    default: nil
    }
  }
}
