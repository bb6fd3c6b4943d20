/// Which CPUs have lost events since their last one.
///
/// Invariant: `counts` has an initialised element for each CPU until deinit.
struct TextLosses: ~Copyable {
  /// How many events are lost, 0 for an unknown number; -1 for none.
  private let counts: UnsafeMutablePointer<Int64>
  /// Where the last loss was told, in bytes.
  private var lastOffset = 0
  /// Whether every CPU is without its first events, so that those without any say nothing.
  private let isBeginLossy: Bool

  /// - Parameter before: how many events of every CPU are missing before its first one; nil for none.
  init(before: UInt64?) {
    counts = .allocate(capacity: LineHeadParser.cpuCountMax)
    counts.initialize(repeating: before.map(Int64.init(clamping:)) ?? -1, count: LineHeadParser.cpuCountMax)
    isBeginLossy = before != nil
  }

  deinit { counts.deallocate() }

  /// A line tells of a loss of `cpu`.
  mutating func note(_ cpu: UInt16, _ count: UInt64, at offset: Int) {
    let (before, more) = (counts[Int(cpu)], Int64(clamping: count))
    let isUnknown = before == 0 || more == 0
    let (sum, overflow) = before.addingReportingOverflow(more)
    counts[Int(cpu)] = before < 0 ? more : isUnknown ? 0 : overflow ? .max : sum
    lastOffset = offset
  }

  /// A line tells that what `cpu` recorded so far was overwritten.
  mutating func note(beginOf cpu: UInt16, at offset: Int) {
    if counts[Int(cpu)] < 0 { note(cpu, 0, at: offset) }
  }

  /// What is missing before an event of `cpu`; -1 for nothing.
  @inline(__always)
  mutating func take(_ cpu: UInt16) -> Int64 {
    let count = counts[Int(cpu)]
    if count >= 0 { counts[Int(cpu)] = -1 }
    return count
  }

  /// The text is over: losses that no event follows are damage.
  func report(to damage: inout DamageLog) {
    guard !isBeginLossy else { return }
    for cpu in 0..<LineHeadParser.cpuCountMax where counts[cpu] >= 0 {
      damage.report(at: lastOffset, "events of CPU \(cpu) were lost behind its last one")
    }
  }
}
