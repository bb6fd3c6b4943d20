internal import KVMTrace
internal import KVMTypes

/// Collects the gaps of a trace in its first pass.
struct LossGaps {
  /// How many gaps are kept apart; beyond that neighbours count as one.
  static let gapsMax = 4096
  private var gaps: [Range<UInt64>] = []
  /// For each CPU the time of its last event.
  private var last: [UInt64] = []

  /// An event of `cpu`.
  @inline(__always)
  mutating func note(_ cpu: CPUIndex, at time: Nanoseconds) {
    let index = Int(cpu.rawValue)
    if index >= last.count { last.append(contentsOf: repeatElement(0, count: index + 1 - last.count)) }
    last[index] = time.rawValue
  }

  /// Events of `cpu` are missing between its last event, or `from` if that is earlier, and `time`, or from there on.
  mutating func lose(_ cpu: CPUIndex, from: Nanoseconds? = nil, until time: Nanoseconds? = nil) {
    let index = Int(cpu.rawValue)
    let start = min(index < last.count ? last[index] : 0, from?.rawValue ?? .max)
    let end = time?.rawValue ?? .max
    guard start < end else { return }
    insert(start..<end)
  }

  /// A gap that is known.
  mutating func insert(_ gap: Range<UInt64>) {
    gaps.append(gap)
    if gaps.count == 2 * Self.gapsMax { gaps = Self.disjoint(gaps, atMost: Self.gapsMax) }
  }

  /// Events of each of `cpus` processors may be missing behind its last one.
  mutating func loseAll(_ cpus: Int) {
    for cpu in last.indices where last[cpu] > 0 { lose(CPUIndex(UInt16(clamping: cpu))) }
    // Of the others there is none: what they did is not known from the beginning on.
    if last.count(where: { $0 > 0 }) < cpus { gaps.append(0..<UInt64.max) }
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
