import KVMTrace
import Testing

@Suite("Trace clocks")
struct TraceClockTests {
  @Test("Which clocks count nanoseconds, as trace_clocks of kernel/trace/trace.c has it")
  func units() {
    for name in ["local", "global", "perf", "mono", "mono_raw", "boot", "tai", "some-new-one"] {
      #expect(TraceClock(name)?.isNanoseconds == true, "\(name)")
    }
    for name in ["counter", "uptime", "x86-tsc", "ppc-tb", "s390-tod"] {
      #expect(TraceClock(name)?.isNanoseconds == false, "\(name)")
      // TSC2NSEC: the recording says how to convert them.
      #expect(TraceClock(name, isConverted: true)?.isNanoseconds == true, "\(name)")
    }
    #expect(TraceClock("") == nil)
    #expect(TraceClock("counter")?.tick == "an event" && TraceClock("uptime")?.tick == "10 ms")
  }
}
