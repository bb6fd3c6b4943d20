internal import KVMTypes

/// When events of some CPU are missing.
///
/// Any thread may have run there and any notifier may have been called, so what the table holds is not known while it
/// lasts, nor afterwards until an event shows it. Time falls into epochs, which change where a gap begins and where it
/// ends; what was learnt holds for the rest of its epoch.
struct LossLog {
  /// Where gaps begin and end, by turns, in the order of time.
  private var boundaries: [UInt64]
  /// How many of them have been passed.
  private var passed = 0
  /// How many have been passed in all.
  private(set) var epoch = Epoch(0)
  private var next: UInt64

  init(_ gaps: LossGaps) {
    boundaries = gaps.boundaries
    next = boundaries.first ?? .max
  }

  /// Time goes on. Events of different CPUs may be out of order by a little; that does not turn it back.
  @inline(__always)
  mutating func advance(to time: Nanoseconds) {
    if time.rawValue >= next { pass(time.rawValue) }
  }

  /// Events are missing that the first pass over the trace still found: from here on nothing is known.
  mutating func loseRest() {
    if !epoch.isInGap { epoch = Epoch(epoch.rawValue + 1) }
    boundaries = []
    passed = 0
    next = .max
  }

  /// A gap became known while time went on. It begins now, where it should have begun before.
  mutating func insert(_ gap: Range<UInt64>) {
    if epoch.isInGap, next == .max { return }
    if passed > LossGaps.gapsMax { forgetPassed() }
    // Gaps come to be known in about the order of time, so most lie behind all others.
    let isLast = passed == boundaries.count || gap.lowerBound > boundaries[boundaries.count - 1]
    if isLast, boundaries.count - passed < 2 * LossGaps.gapsMax {
      boundaries.append(gap.lowerBound)
      boundaries.append(gap.upperBound)
    } else {
      insertAmongOthers(gap)
    }
    next = boundaries[passed]
  }

  private mutating func insertAmongOthers(_ gap: Range<UInt64>) {
    var rest = boundaries[passed...]
    var gaps = [gap]
    if epoch.isInGap, let end = rest.popFirst() { gaps.append(0..<end) }
    while let start = rest.popFirst(), let end = rest.popFirst() { gaps.append(start..<end) }
    boundaries = LossGaps.disjoint(gaps, atMost: LossGaps.gapsMax).flatMap { [$0.lowerBound, $0.upperBound] }
    // Of the gap that lasts only the end is ahead.
    passed = epoch.isInGap ? 1 : 0
  }

  private mutating func forgetPassed() {
    boundaries.removeFirst(passed)
    passed = 0
  }

  private mutating func pass(_ time: UInt64) {
    let before = passed
    while passed < boundaries.count, boundaries[passed] <= time { passed += 1 }
    epoch = Epoch(Int32(clamping: Int(epoch.rawValue) + passed - before))
    next = passed < boundaries.count ? boundaries[passed] : .max
  }
}
