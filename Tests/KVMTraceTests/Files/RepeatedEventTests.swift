import KVMTrace
import KVMTypes
import Testing
import TraceSynth

/// What `trace-cmd split` makes of the first event of each CPU: two.
@Suite("A first event that stands twice")
struct RepeatedEventTests {
  /// The times of the events that are read, of events of one CPU at `times`, which are all the same.
  private func read(_ times: [UInt64], clock: String = "local", isAlike: Bool = true) throws -> [UInt64] {
    let flavour = TraceFlavour()
    let page = TraceBuilding.page(flavour, at: times[0]) { page in
      for (position, time) in times.enumerated() {
        let fits = page.append(TraceBuilding.entry(pc: isAlike ? 1 : UInt64(position), flavour), at: time)
        precondition(fits)
      }
    }
    let description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry], buffers: [TraceBuffer(clock: clock, cpus: [0])])
    let writer = TraceDatWriter(description)
    try writer.append(page, cpu: 0)
    let reading = try Reading(writer.bytes())
    #expect(reading.statistics.total == UInt64(reading.events.count))
    return reading.events.map(\.time)
  }

  @Test("The first event of a CPU counts once, where the same one follows at the same time")
  func twice() throws {
    #expect(try read([100, 100, 200]) == [100, 200])
    #expect(try read([100, 100]) == [100])
  }

  @Test("Nothing else is taken for a repetition")
  func others() throws {
    #expect(try read([100, 100, 200], isAlike: false) == [100, 100, 200])
    #expect(try read([100, 101, 101]) == [100, 101, 101])
    #expect(try read([100, 100, 200], clock: "uptime") == [100, 100, 200])
  }

  @Test("Where later events stand there twice, too, all are events")
  func allTwice() throws {
    #expect(try read([100, 100, 200, 200]) == [100, 100, 200, 200])
    #expect(try read([100, 100, 100]) == [100, 100, 100])
  }
}
