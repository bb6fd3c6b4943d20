internal import KVMTrace
internal import KVMTypes

/// Collects the gaps of a trace in its first pass.
struct LossGaps {
  /// How many gaps are kept apart; beyond that neighbours count as one.
  static let gapsMax = 4096
  private var gaps: [Range<UInt64>] = []
  /// Where each stream's begin.
  private var streams = StreamDoubts()

  /// An event of a stream.
  @inline(__always)
  mutating func note(_ stream: StreamID, at time: Nanoseconds) { streams.note(stream, at: time) }

  /// Events of a stream are missing between its last event and `time`.
  mutating func lose(_ stream: StreamID, until time: Nanoseconds) {
    let start = streams.begin(of: stream)
    if start < time { insert(start.rawValue..<time.rawValue) }
  }

  /// A stream has had so many damaged places when it comes to its next event, at `time`. Whether those are more than before.
  mutating func lose(_ stream: StreamID, damaged count: Int, before time: Nanoseconds) -> Bool {
    let start = streams.begin(ofDamage: count, in: stream, before: time)
    loseRest(from: start)
    return start != nil
  }

  /// Whether as many damaged places of a stream are known.
  func knows(damage count: Int, of stream: StreamID) -> Bool { streams.knows(damage: count, of: stream) }

  /// All events have been seen: what is missing behind the last ones of streams. Whether anything is.
  mutating func loseEnds(damage places: [Damage], _ statistics: EventStatistics, cpuCount: Int) -> Bool {
    let starts = [
      streams.begin(ofDamageBehindEvents: places, statistics, cpuCount: cpuCount),
      streams.begin(ofCutsIn: statistics),
    ]
    for start in starts { loseRest(from: start) }
    return starts.contains { $0 != nil }
  }

  /// Anything may be missing from a moment on, if there is one.
  private mutating func loseRest(from start: Nanoseconds?) {
    if let start, start.rawValue < .max { insert(start.rawValue..<UInt64.max) }
  }

  /// A gap that is known.
  mutating func insert(_ gap: Range<UInt64>) {
    gaps.append(gap)
    if gaps.count == 2 * Self.gapsMax { gaps = Self.disjoint(gaps, atMost: Self.gapsMax) }
  }

  /// Takes out the gaps that were found since the last time.
  mutating func take() -> [Range<UInt64>] {
    defer { gaps = [] }
    return disjoint
  }

  /// The gaps, in the order of time.
  var disjoint: [Range<UInt64>] { Self.disjoint(gaps, atMost: Self.gapsMax) }

  /// Where the gaps begin and end, by turns.
  var boundaries: [UInt64] { disjoint.flatMap { [$0.lowerBound, $0.upperBound] } }

  /// The gaps, in the order of time: all of it, where events are missing and nothing says where.
  func ranges(of events: RecordedEvents) -> [Range<Nanoseconds>] {
    events.lacksSomewhere
      ? [Nanoseconds(0)..<Nanoseconds(.max)]
      : disjoint.map { Nanoseconds($0.lowerBound)..<Nanoseconds($0.upperBound) }
  }

  /// Gaps that overlap or touch are one; where more than `limit` are left, neighbours are, too.
  static func disjoint(_ gaps: [Range<UInt64>], atMost limit: Int) -> [Range<UInt64>] {
    var result: [Range<UInt64>] = []
    for gap in gaps.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let before = result.last, gap.lowerBound <= before.upperBound {
        result[result.count - 1] = before.lowerBound..<max(before.upperBound, gap.upperBound)
      } else {
        result.append(gap)
      }
    }
    while result.count > limit {
      result = stride(from: 0, to: result.count, by: 2).map { first in
        result[first].lowerBound..<result[min(first + 1, result.count - 1)].upperBound
      }
    }
    return result
  }
}
