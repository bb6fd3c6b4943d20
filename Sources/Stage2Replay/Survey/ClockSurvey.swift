internal import KVMTrace
internal import KVMTypes

/// What the stamps of a trace can tell: how long things take, and in which order those of different CPUs happened.
///
/// A fault's window without any length shows a clock that is too coarse for both: KVM has handled the fault and entered the guest
/// again in the same tick. Then events of different CPUs with one stamp stand in the order of the CPUs, whatever it was.
struct ClockSurvey {
  private let clock: TraceClock?
  /// The first event of the part that is replayed, and the last one.
  private(set) var first: Nanoseconds?
  private(set) var last = Nanoseconds(0)
  private var cpu: CPUIndex?
  private var isOfSeveralCPUs = false
  private var hasEmptyWindow = false

  init(_ clock: TraceClock?) { self.clock = clock }

  /// Whether the order of events of different CPUs is not known where it matters.
  var isUnordered: Bool { hasEmptyWindow && isOfSeveralCPUs }
  /// Whether spans between stamps say how long something took.
  var measuresTime: Bool { (clock?.isNanoseconds ?? true) && !hasEmptyWindow }

  /// A run of a CPU's events begins at a moment.
  @inline(__always)
  mutating func beginRun(of cpu: CPUIndex, at time: Nanoseconds) {
    if first == nil { (first, self.cpu) = (time, cpu) }
    if cpu != self.cpu { isOfSeveralCPUs = true }
  }

  /// An event.
  @inline(__always)
  mutating func note(_ time: Nanoseconds) { last = max(last, time) }

  /// The window of a thread's fault ended now.
  @inline(__always)
  mutating func close(_ window: FaultWindows.Window, at time: Nanoseconds) {
    if window.begin.time == time { hasEmptyWindow = true }
  }
}
