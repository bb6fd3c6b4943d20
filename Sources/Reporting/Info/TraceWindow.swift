public import KVMTrace
internal import KVMTypes

/// The part of a trace that `--from` and `--to` choose, or that was cut out of a recording, with its own counts.
public struct TraceWindow: Encodable, Hashable, Sendable {
  /// The first moment that is in it; nil where it begins with the trace.
  public var fromNs: UInt64?
  /// The first moment behind it; nil where it ends with the trace.
  public var toNs: UInt64?
  /// The events in it, nil where nobody counted them.
  public var events: UInt64?
  /// How often each event occurred in it, nil likewise.
  public var eventCounts: [String: UInt64]?
  /// What its moments are.
  private let unit: StampUnit
  /// The time of it, from the first event to the last where it begins or ends with the trace.
  let span: Range<UInt64>
  /// Whether the trace is a part that was cut out of a recording: from its first event to the last is no time that it tells of.
  let isOfSlice: Bool

  private enum CodingKeys: String, CodingKey { case fromNs, toNs, events, eventCounts }

  /// Why there is no such part.
  public struct Failure: Error, CustomStringConvertible {
    /// What is wrong, in words that follow the input's name.
    public var description: String
  }

  /// A part of which nobody counted the events.
  init(_ part: TracePart, _ statistics: EventStatistics, _ clock: TraceClock?) {
    unit = StampUnit(clock)
    fromNs = part.from?.rawValue
    toNs = part.to?.rawValue
    span = part.span(statistics)
    isOfSlice = part.slice != nil
  }

  /// Counts the events of a part of `trace`, which takes a pass over it. What `slice` put down about the part is no event of it.
  ///
  /// - Throws: where the part lies before or behind the whole trace.
  public init(of trace: TraceFile, _ part: TracePart) throws(Failure) {
    var counts: [UInt16: UInt64] = [:]
    var reader = trace.events(.all)
    while let run = reader.nextRun() {
      for position in 0..<run.count {
        let record = run[position]
        if record.kind == .lost || record.time < part.from ?? Nanoseconds(0) { continue }
        if let to = part.to, record.time >= to { continue }
        if record.kind == .marker, run.marker(position)?.isOfSlice == true { continue }
        counts[record.formatID, default: 0] += 1
      }
    }
    try Self.check(part, reader.statistics, trace.clock)
    self.init(part, reader.statistics, trace.clock)
    events = counts.values.reduce(0, +)
    let names = trace.formats.formats.map { ($0.id, $0.name) }
    eventCounts = Dictionary(
      names.compactMap { id, name in counts[id].map { (name, $0) } }, uniquingKeysWith: +)
  }

  /// Refuses a part that lies outside the trace.
  public static func check(
    _ part: TracePart, _ statistics: EventStatistics, _ clock: TraceClock?
  ) throws(Failure) {
    let unit = StampUnit(clock)
    guard let first = statistics.first, let last = statistics.last else { return }
    let whole = TracePart(of: part.slice).span(statistics)
    let span = "the trace's time is \(unit.stamp(whole.lowerBound)) to \(unit.stamp(whole.upperBound))"
    if let from = part.from, from > max(first, last, part.slice?.from ?? last) {
      throw Failure(description: "--from \(unit.stamp(from.rawValue)) is behind the last event; \(span)")
    }
    if let to = part.to, to <= max(min(first, last), part.slice?.from ?? first) {
      throw Failure(description: "--to \(unit.stamp(to.rawValue)) is not behind the first event; \(span)")
    }
  }

  /// In words, which part it is.
  package var text: String {
    [fromNs.map { "from \(unit.stamp($0))" }, toNs.map { "to \(unit.stamp($0))" }]
      .compactMap(\.self).joined(separator: " ")
  }

  /// In words, which part it is, and what is not known for that.
  package var statement: String {
    text + (fromNs == nil ? "" : "; not known is \(ReplayReport.windowCaveat)")
  }
}

extension TraceInfo {
  /// The time that counts: of the window, or from the first event to the last.
  package var replayed: Range<UInt64> {
    let first = firstNs ?? 0
    return window?.span ?? first..<max(first, lastNs ?? 0)
  }
}
