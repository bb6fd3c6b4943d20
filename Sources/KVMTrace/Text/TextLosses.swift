/// Which CPUs have lost events since their last one.
///
/// Invariant: `cpus` has an initialised element for each CPU until deinit.
struct TextLosses: ~Copyable {
  /// What stands for no loss, and for one that a header tells of, which may be any CPU's.
  private static let none: Int64 = -1
  private static let perhaps: Int64 = -2

  /// What is known of a CPU.
  private struct Loss: BitwiseCopyable {
    /// How many events are lost, 0 for an unknown number; or one of the above.
    var count: Int64
    /// How many headers had told of a loss when that was noted.
    var headers = 0
  }

  private let cpus: UnsafeMutablePointer<Loss>
  /// How many headers told of a loss so far. One counts for each CPU whose own number is less.
  private var headers = 0
  /// Where the last loss was told, in bytes.
  private var lastOffset = 0
  /// Whether every CPU is without its first events, so that those without any say nothing.
  private let isBeginLossy: Bool
  /// Where the last header told of a loss that no event has followed, in bytes.
  private var headerOffset: Int?

  /// - Parameter before: how many events of every CPU are missing before its first one; nil for none.
  init(before: UInt64?) {
    cpus = .allocate(capacity: LineHeadParser.cpuCountMax)
    cpus.initialize(
      repeating: Loss(count: before.map(Int64.init(clamping:)) ?? Self.none),
      count: LineHeadParser.cpuCountMax)
    isBeginLossy = before != nil
  }

  deinit { cpus.deallocate() }

  /// What is missing of `cpu`, with what headers told since that was noted.
  private func count(_ cpu: UInt16) -> Int64 {
    let loss = cpus[Int(cpu)]
    if loss.headers == headers { return loss.count }
    return loss.count < 0 ? Self.perhaps : 0
  }

  /// A line tells of a loss of `cpu`.
  mutating func note(_ cpu: UInt16, _ count: UInt64, at offset: Int) {
    let (before, more) = (self.count(cpu), Int64(clamping: count))
    let isUnknown = before == 0 || before == Self.perhaps || more == 0
    let (sum, overflow) = before.addingReportingOverflow(more)
    let total = before == Self.none ? more : isUnknown ? 0 : overflow ? .max : sum
    cpus[Int(cpu)] = Loss(count: total, headers: headers)
    lastOffset = offset
  }

  /// A line tells that what `cpu` recorded so far was overwritten.
  mutating func note(beginOf cpu: UInt16, at offset: Int) {
    if count(cpu) < 0 { note(cpu, 0, at: offset) }
  }

  /// A header tells that others were written over events before it.
  mutating func note(overwrittenAt offset: Int) {
    // Many headers without an event between them say no more than one.
    if headerOffset == nil { headers += 1 }
    headerOffset = offset
  }

  /// What is missing before an event of `cpu`; -1 for nothing.
  @inline(__always)
  mutating func take(_ cpu: UInt16) -> Int64 {
    let loss = cpus[Int(cpu)]
    guard loss.count != Self.none || loss.headers != headers else { return -1 }
    let count = count(cpu)
    cpus[Int(cpu)] = Loss(count: Self.none, headers: headers)
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
    for cpu in 0..<LineHeadParser.cpuCountMax where cpus[cpu].count >= 0 {
      damage.report(at: lastOffset, "events of CPU \(cpu) were lost behind its last one")
      damage.missEnd()
    }
  }
}
