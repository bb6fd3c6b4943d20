/// The clock of a trace's stamps, one of the kernel's `trace_clocks` (kernel/trace/trace.c). trace-cmd turns the stamps of some
/// into nanoseconds (TSC2NSEC); of the others it prints the ticks.
///
/// | clock | stamps |
/// |---|---|
/// | local, perf | nanoseconds, of each CPU by itself: on arm64 of one counter for all of them |
/// | global, mono, mono_raw, boot, tai | nanoseconds, in one order for all CPUs |
/// | uptime | jiffies as `clock_t`: ticks of 10 ms, which order nothing that lies in one of them |
/// | counter | one number more with each event, in the order of all CPUs: no time |
/// | x86-tsc, ppc-tb, s390-tod | ticks of the CPU's counter |
public struct TraceClock: Hashable, Sendable {
  /// The kernel's name for it.
  public let name: String
  /// Whether stamps are nanoseconds.
  public let isNanoseconds: Bool

  /// Clocks with `in_ns` = 0.
  private static let tickClocks: Set<String> = ["uptime", "counter", "x86-tsc", "ppc-tb", "s390-tod"]

  /// The clock of that name; nil for an empty one.
  ///
  /// - Parameter isConverted: whether the recording says how its stamps become nanoseconds.
  public init?(_ name: String, isConverted: Bool = false) {
    if name.isEmpty { return nil }
    self.name = name
    isNanoseconds = isConverted || !Self.tickClocks.contains(name)
  }

  /// What one more of a stamp that is no nanosecond stands for.
  public var tick: String {
    switch name {
    case "counter": "an event"
    case "uptime": "10 ms"
    default: "a tick of the CPU's counter"
    }
  }
}
