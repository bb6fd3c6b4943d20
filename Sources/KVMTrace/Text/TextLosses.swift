/// Which CPUs have lost events since their last one.
///
/// Invariant: `counts` has an initialised element for each CPU until deinit.
struct TextLosses: ~Copyable {
  /// What stands for no loss, and for one that a header tells of, which may be any CPU's.
  private static let none: Int64 = -1
  private static let perhaps: Int64 = -2

  /// How many events are lost, 0 for an unknown number; or one of the above.
  private let counts: UnsafeMutablePointer<Int64>
  /// Where the last loss was told, in bytes.
  private var lastOffset = 0
  /// Whether every CPU is without its first events, so that those without any say nothing.
  private let isBeginLossy: Bool
  /// Where the last header told of a loss that no event has followed, in bytes.
  private var headerOffset: Int?

  /// - Parameter before: how many events of every CPU are missing before its first one; nil for none.
  init(before: UInt64?) {
    counts = .allocate(capacity: LineHeadParser.cpuCountMax)
    counts.initialize(
      repeating: before.map(Int64.init(clamping:)) ?? Self.none, count: LineHeadParser.cpuCountMax)
    isBeginLossy = before != nil
  }

  deinit { counts.deallocate() }

  /// A line tells of a loss of `cpu`.
  mutating func note(_ cpu: UInt16, _ count: UInt64, at offset: Int) {
    let (before, more) = (counts[Int(cpu)], Int64(clamping: count))
    let isUnknown = before == 0 || before == Self.perhaps || more == 0
    let (sum, overflow) = before.addingReportingOverflow(more)
    counts[Int(cpu)] = before == Self.none ? more : isUnknown ? 0 : overflow ? .max : sum
    lastOffset = offset
  }

  /// A line tells that what `cpu` recorded so far was overwritten.
  mutating func note(beginOf cpu: UInt16, at offset: Int) {
    if counts[Int(cpu)] < 0 { note(cpu, 0, at: offset) }
  }

  /// A header tells that others were written over events before it.
  mutating func note(overwrittenAt offset: Int) {
    // Many headers without an event between them say no more than one.
    if headerOffset == nil {
      for cpu in 0..<LineHeadParser.cpuCountMax { counts[cpu] = counts[cpu] < 0 ? Self.perhaps : 0 }
    }
    headerOffset = offset
  }

  /// What is missing before an event of `cpu`; -1 for nothing.
  @inline(__always)
  mutating func take(_ cpu: UInt16) -> Int64 {
    let count = counts[Int(cpu)]
    guard count != Self.none else { return -1 }
    counts[Int(cpu)] = Self.none
    headerOffset = nil
    return max(count, 0)
  }

  /// The text is over: losses that no event follows are damage.
  func report(to damage: inout DamageLog) {
    if let headerOffset {
      damage.report(at: headerOffset, "events were lost behind the last one")
      damage.missEnd()
    }
    guard !isBeginLossy else { return }
    for cpu in 0..<LineHeadParser.cpuCountMax where counts[cpu] >= 0 {
      damage.report(at: lastOffset, "events of CPU \(cpu) were lost behind its last one")
      damage.missEnd()
    }
  }
}
