internal import KVMTrace
internal import KVMTypes

/// What the stamps of a trace can tell: how long things take, and in which order those of different CPUs happened.
///
/// Fault windows without any length show a clock that is too coarse for both: KVM has handled the fault and entered the guest
/// again in the same tick. Then events of different CPUs with one stamp stand in the order of the CPUs, whatever it was. A tick of
/// jiffies is a millisecond at least and holds most windows; a clock of nanoseconds, of whatever resolution, none. A few empty windows
/// among others are of events that do not belong there.
struct ClockSurvey {
  private let clock: TraceClock?
  /// The first event of the part that is replayed, and the last one.
  private(set) var first: Nanoseconds?
  private(set) var last = Nanoseconds(0)
  private var cpu: CPUIndex?
  private var isOfSeveralCPUs = false
  private var windows = 0
  private var emptyWindows = 0

  init(_ clock: TraceClock?) { self.clock = clock }

  /// Whether the order of events of different CPUs is not known where it matters.
  var isUnordered: Bool { isCoarse && isOfSeveralCPUs }
  /// Whether stamps are ticks of something else than nanoseconds.
  var countsTicks: Bool { !(clock?.isNanoseconds ?? true) }
  /// Whether spans between stamps say how long something took.
  var measuresTime: Bool { !countsTicks && !isCoarse }

  /// Whether most faults are handled within a tick.
  private var isCoarse: Bool { emptyWindows > windows / 2 }

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
    windows += 1
    if window.begin.time == time { emptyWindows += 1 }
  }
}
