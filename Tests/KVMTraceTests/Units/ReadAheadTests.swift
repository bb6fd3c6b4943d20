import KVMTypes
import Testing
import TraceSynth
import UnnamedFiles

@testable import KVMTrace

/// What is read ahead on a second thread is what is read otherwise.
@Suite("Reading ahead")
struct ReadAheadTests {
  private struct Run: Equatable {
    var times: [Nanoseconds]
    var cpu: CPUIndex
    var buffer: Int
    var damageCount: Int
    var markers: [TraceMarker?]
  }

  private struct Stop: Error {}

  /// Three CPUs with more events than all batches hold, markers, others' texts among them, a loss, and pages with damage.
  private func build(_ flavour: TraceFlavour) throws -> [UInt8] {
    var description = TraceDescription(
      flavour, formats: [MarkerFormat.print, KVMEventFormats.entry], cpus: 3)
    description.options = [.clock("[local] global")]
    let writer = TraceDatWriter(description)
    for index in 0..<150 {
      for cpu in 0..<3 {
        let page = TraceBuilding.page(flavour, at: UInt64(20_000 * index + 7 * cpu)) { page in
          if index == 40 { page.event(marker(cpu == 0 ? "pkvm-replay:quiet" : "else", flavour), delta: 1) }
          for event in 0..<120 { page.event(TraceBuilding.entry(flavour), delta: UInt32(20 + event % 50)) }
          if index == 50 { page.commitOverride = UInt64(page.dataBytes - 4) }
        }
        try writer.append(page, cpu: UInt32(cpu))
      }
    }
    return try writer.bytes()
  }

  private func marker(_ text: String, _ flavour: TraceFlavour) -> [UInt8] {
    let data = MarkerFormat.payload(text, pid: 7, flavour: flavour)
    return data + [UInt8](repeating: 0, count: (4 - data.count % 4) % 4)
  }

  private func runs(
    _ trace: TraceFile, reader: WorkerThread?, stopAt stop: Int = .max
  ) throws -> (runs: [Run], statistics: EventStatistics?) {
    var found: [Run] = []
    let statistics = try? trace.forEachRun(.replay(probes: true, reader: reader)) { run in
      found.append(
        Run(
          times: run.records.map(\.time), cpu: run[0].cpu, buffer: run.bufferIndex,
          damageCount: run.damageCount, markers: (0..<run.count).map(run.marker)))
      if found.count == stop { throw Stop() }
    }
    return (found, statistics)
  }

  @Test("Runs, markers, damage and counts are the same", arguments: ShrinkingFileTests.flavours)
  func same(flavour: TraceFlavour) throws {
    let file = try UnnamedFile(try build(flavour))
    let trace = try TraceFile(path: file.path)
    let (plain, ahead) = (try runs(trace, reader: nil), try runs(trace, reader: WorkerThread()))
    #expect(plain.runs.count > 1000 && plain.runs == ahead.runs)
    #expect(plain.runs.flatMap(\.markers).compactMap(\.self) == [.quiet])
    #expect(plain.runs.last?.damageCount == 1)
    let (expected, found) = (try #require(plain.statistics), try #require(ahead.statistics))
    #expect(expected.counts == found.counts && found.total > 50_000)
    #expect(expected.damage == found.damage && found.damage.count == 3)
    #expect(expected.losses == found.losses && expected.first == found.first && expected.last == found.last)
  }

  private struct Event: Equatable {
    var time: Nanoseconds
    var cpu: CPUIndex
    var damageCount: Int
    var marker: TraceMarker?
  }

  @Test(
    "Runs of several CPUs have the same events, and those that tell of damage are of one",
    arguments: [false, true])
  func mixed(isAhead: Bool) throws {
    let file = try UnnamedFile(try build(TraceFlavour()))
    let trace = try TraceFile(path: file.path)
    func events(mixesCPUs: Bool) -> (events: [Event], runs: Int, counts: [EventStatistics.Count]) {
      var selection = EventSelection.replay(probes: true, reader: isAhead ? WorkerThread() : nil)
      selection.mixesCPUs = mixesCPUs
      var (events, runs) = ([Event](), 0)
      let statistics = trace.forEachRun(selection) { run in
        runs += 1
        #expect(run.damageCount == 0 || Set(run.records.map(\.cpu)).count == 1)
        for index in 0..<run.count {
          events.append(
            Event(
              time: run[index].time, cpu: run[index].cpu, damageCount: run.damageCount,
              marker: run.marker(index)))
        }
      }
      return (events, runs, statistics.counts)
    }
    let (plain, mixed) = (events(mixesCPUs: false), events(mixesCPUs: true))
    #expect(plain.events == mixed.events && plain.counts == mixed.counts)
    #expect(mixed.runs < plain.runs && mixed.events.last?.damageCount == 1)
    #expect(mixed.events.compactMap(\.marker) == [.quiet])
  }

  @Test("Who stops early stops the reading, wherever that is", arguments: [1, 2, 700, 5000])
  func stop(run: Int) throws {
    let file = try UnnamedFile(try build(TraceFlavour()))
    let trace = try TraceFile(path: file.path)
    let (plain, ahead) = (
      try runs(trace, reader: nil, stopAt: run), try runs(trace, reader: WorkerThread(), stopAt: run)
    )
    #expect(ahead.statistics == nil && plain.runs == ahead.runs && ahead.runs.count == run)
  }

  @Test("A run longer than a batch stays whole, and a trace without events has none", arguments: [0, 3])
  func lengths(pages count: Int) throws {
    let flavour = TraceFlavour(pageBytes: 1 << 17)
    let pages = (0..<count).map { index in
      TraceBuilding.page(flavour, at: UInt64(10_000 * index)) { page in
        for _ in 0..<5000 { page.event(TraceBuilding.entry(flavour), delta: 1) }
      }
    }
    let file = try UnnamedFile(try TraceBuilding.file(flavour, pages: [pages]))
    let trace = try TraceFile(path: file.path)
    let (plain, ahead) = (try runs(trace, reader: nil), try runs(trace, reader: WorkerThread()))
    #expect(plain.runs == ahead.runs && ahead.runs.map(\.times.count) == pages.map { _ in 5000 })
  }
}
