public import KVMTrace
public import KVMTypes

/// The part of a trace that `--from` and `--to` choose, with its own counts.
public struct TraceWindow: Encodable, Hashable, Sendable {
  /// The first moment that is in it; nil where it begins with the trace.
  public var fromNs: UInt64?
  /// The first moment behind it; nil where it ends with the trace.
  public var toNs: UInt64?
  /// The events in it.
  public var events: UInt64
  /// What its moments are.
  private let unit: StampUnit

  private enum CodingKeys: String, CodingKey { case fromNs, toNs, events, eventCounts }
  /// How often each event occurred in it.
  public var eventCounts: [String: UInt64]

  /// Why there is no such part.
  public struct Failure: Error, CustomStringConvertible {
    /// What is wrong, in words that follow the input's name.
    public var description: String
  }

  /// Counts the events of a part of `trace`, which takes a pass over it.
  ///
  /// - Throws: where the part lies before or behind the whole trace.
  public init(of trace: TraceFile, from: Nanoseconds?, to: Nanoseconds?) throws(Failure) {
    unit = StampUnit(trace.clock)
    fromNs = from?.rawValue
    toNs = to?.rawValue
    var counts: [UInt16: UInt64] = [:]
    var reader = trace.events(.all)
    while let run = reader.nextRun() {
      for position in 0..<run.count {
        let record = run[position]
        if record.kind == .lost || record.time < from ?? Nanoseconds(0) { continue }
        if let to, record.time >= to { continue }
        counts[record.formatID, default: 0] += 1
      }
    }
    try Self.check(from: from, to: to, reader.statistics, trace.clock)
    events = counts.values.reduce(0, +)
    let names = trace.formats.formats.map { ($0.id, $0.name) }
    eventCounts = Dictionary(
      names.compactMap { id, name in counts[id].map { (name, $0) } }, uniquingKeysWith: +)
  }

  /// Refuses a part that lies outside the trace.
  public static func check(
    from: Nanoseconds?, to: Nanoseconds?, _ statistics: EventStatistics, _ clock: TraceClock?
  ) throws(Failure) {
    let unit = StampUnit(clock)
    guard let first = statistics.first, let last = statistics.last else { return }
    let span = "the trace's time is \(unit.stamp(first.rawValue)) to \(unit.stamp(last.rawValue))"
    if let from, from > max(first, last) {
      throw Failure(description: "--from \(unit.stamp(from.rawValue)) is behind the last event; \(span)")
    }
    if let to, to <= min(first, last) {
      throw Failure(description: "--to \(unit.stamp(to.rawValue)) is not behind the first event; \(span)")
    }
  }

  /// How much it is of the time between the first event and the last.
  fileprivate func span(in bounds: Range<UInt64>) -> Range<UInt64> {
    let first = max(bounds.lowerBound, fromNs ?? 0)
    return first..<max(first, min(bounds.upperBound, toNs ?? .max))
  }

  /// In words, which part it is.
  var text: String {
    [fromNs.map { "from \(unit.stamp($0))" }, toNs.map { "to \(unit.stamp($0))" }]
      .compactMap(\.self).joined(separator: " ")
  }
}

extension TraceInfo {
  /// The time that was replayed, from its first to its last moment.
  var replayed: Range<UInt64> {
    let first = firstNs ?? 0
    let bounds = first..<max(first, lastNs ?? 0)
    return window?.span(in: bounds) ?? bounds
  }
}

extension EventStatistics {
  /// The time from the first event to the last.
  var bounds: Range<UInt64> {
    let first = first?.rawValue ?? 0
    return first..<max(first, last?.rawValue ?? 0)
  }
}
