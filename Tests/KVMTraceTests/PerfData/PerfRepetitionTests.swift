@testable import KVMTrace
import Testing
@testable import TraceSynth

/// Tracepoints that `perf record` was asked for more than once.
@Suite("Repetitions in a perf.data")
struct PerfRepetitionTests {
  typealias Place = PerfDataBuilder.Place

  private static func note(_ samples: String) -> String {
    "a tracepoint was recorded more than once (-e); \(samples) of an event that another one is of, and passed over"
  }

  @Test("samples of a tracepoint that was asked for twice are one event each")
  func repeated() throws {
    var builder = PerfDataBuilder()
    builder.events.append(PerfDataBuilder.Event(config: builder.events[0].config, ids: [21]))
    for time in 0..<3 as Range<UInt64> {
      // Both have the same record, as the events have among themselves.
      builder.entry(Place(time: 2 * time), event: 1)
      builder.entry(Place(time: 2 * time + 1), event: 0)
    }
    builder.entry(Place(time: 10), pc: 5, event: 1)
    builder.lost(1, Place(time: 10))
    builder.entry(Place(time: 11), pc: 5, event: 0)
    builder.entry(Place(time: 12, cpu: 1), pc: 5, event: 1)
    for bytes in [builder.file(), builder.pipe()] {
      let reading = try PerfReading(bytes)
      #expect(reading.times == [0, 2, 4, 10, 11, 12])
      #expect(reading.damage.isEmpty)
      #expect(reading.trace.notes == [Self.note("3 samples are")])
    }
  }

  @Test("an interrupt between the samples of an event does not make two of it")
  func repeatedAroundInterrupt() throws {
    var builder = PerfDataBuilder()
    builder.events.append(PerfDataBuilder.Event(config: builder.events[0].config, ids: [21]))
    builder.events.append(PerfDataBuilder.Event(config: UInt64(KVMEventFormats.exit.id), ids: [31]))
    // In the order of time: a task's, a soft interrupt's, a hard one's; what only one asked for is between them.
    for (time, (pc, event)) in [(1, 0), (2, 0), (9, 2), (3, 0), (3, 1), (9, 2), (2, 1), (1, 1)].enumerated() {
      builder.entry(Place(time: UInt64(time)), pc: UInt64(pc), event: event)
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.events.map(\.first) == [1, 2, 9, 3, 9])
    #expect(reading.trace.notes == [Self.note("3 samples are")])
  }

  @Test("a second sample for one asking is of another hit, while the first hit lacks samples")
  func anotherHit() throws {
    var builder = PerfDataBuilder()
    for id in [21, 31] as [UInt64] {
      builder.events.append(PerfDataBuilder.Event(config: builder.events[0].config, ids: [id]))
    }
    // Two hits that look the same, an interrupt's between the samples of a task's: each has three samples.
    for (time, event) in [0, 1, 1, 2, 0, 2].enumerated() {
      builder.entry(Place(time: UInt64(time)), event: event)
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [0, 2])
    #expect(reading.trace.notes == [Self.note("4 samples are")])
  }

  @Test("interrupts between the samples of an event may be many, one behind the other")
  func manyInterrupts() throws {
    var builder = PerfDataBuilder()
    builder.events.append(PerfDataBuilder.Event(config: builder.events[0].config, ids: [21]))
    let samples = [(0, 0)] + (1...5).flatMap { [($0, 0), ($0, 1)] } + [(0, 1)]
    for (time, (pc, event)) in samples.enumerated() {
      builder.entry(Place(time: UInt64(time)), pc: UInt64(pc), event: event)
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.events.map(\.first) == [0, 1, 2, 3, 4, 5])
    #expect(reading.trace.notes == [Self.note("6 samples are")])
  }

  @Test("two hits that look the same at different times are two events, also where each has one sample")
  func laterHit() throws {
    var builder = PerfDataBuilder()
    builder.events.append(PerfDataBuilder.Event(config: builder.events[0].config, ids: [21]))
    builder.entry(Place(time: 1_000_000), event: 0)
    builder.entry(Place(time: 1_900_000), event: 1)
    builder.entry(Place(time: 10_000_000), event: 0)
    builder.entry(Place(time: 15_000_000), event: 1)
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1_000_000, 10_000_000, 15_000_000])
    #expect(reading.trace.notes == [Self.note("1 sample is")])
  }

  @Test("samples that no other one repeats are not told as such, and stay")
  func askedForTwice() throws {
    var builder = PerfDataBuilder()
    builder.events.append(PerfDataBuilder.Event(config: builder.events[0].config, ids: [21]))
    // In rings of their own, in another order of time than in the file.
    for event in [0, 1] {
      for time in 1...3 as ClosedRange<UInt64> {
        builder.entry(Place(time: time * 100_000), pc: time, event: event)
      }
    }
    let reading = try PerfReading(builder.file())
    #expect(reading.times == [1, 1, 2, 2, 3, 3].map { $0 * 100_000 })
    #expect(reading.trace.notes.isEmpty)
  }

  @Test("of a tracepoint that was asked for more than 64 times the first 64 are told apart")
  func askedForVeryOften() throws {
    var builder = PerfDataBuilder()
    let config = builder.events[0].config
    let count = 1000
    builder.events = (0..<count).map { PerfDataBuilder.Event(config: config, ids: [UInt64($0 + 1)]) }
    for event in 0..<count { builder.entry(Place(time: UInt64(event)), event: event) }
    let reading = try PerfReading(builder.file())
    #expect(reading.times.count == count - 63 && reading.trace.notes == [Self.note("63 samples are")])
  }
}
