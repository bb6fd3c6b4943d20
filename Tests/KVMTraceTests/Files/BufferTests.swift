import KVMTrace
import KVMTypes
import Testing
import TraceSynth

/// Buffers and CPUs: more than one, none at all, with gaps.
@Suite("Buffers and CPUs")
struct BufferTests {
  static let flavours = [
    TraceFlavour(version: .v6), TraceFlavour(), TraceFlavour(compression: .zstd),
    // The offsets of instances stand in the writer's byte order there.
    TraceFlavour(version: .v6, byteOrder: .big),
  ]

  @Test("instances beside the top buffer", arguments: flavours)
  func instances(flavour: TraceFlavour) throws {
    var description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry],
      buffers: [
        TraceBuffer(cpus: [0, 1]), TraceBuffer(name: "kvm", cpus: [0, 1]),
        TraceBuffer(name: "empty", cpus: [0, 1]),
        TraceBuffer(name: "late", cpus: [0, 1]),
      ])
    description.options = [.clock("[local]")]
    let writer = TraceDatWriter(description)
    for (place, times) in [[10, 40], [20, 50], [], [30, 60]].enumerated() where !times.isEmpty {
      for (cpu, time) in times.enumerated() {
        try writer.append(
          TraceBuilding.entries([UInt64(time)], flavour, pid: Int32(place)), cpu: UInt32(cpu), buffer: place)
      }
    }
    let reading = try Reading(try writer.bytes())
    #expect(reading.damage.isEmpty)
    #expect(reading.trace.bufferNames == ["", "kvm", "empty", "late"])
    #expect(reading.events.map(\.time) == [10, 20, 30, 40, 50, 60])
    #expect(reading.events.map(\.buffer) == [0, 1, 3, 0, 1, 3])
    #expect(reading.events.map(\.cpu) == [0, 0, 0, 1, 1, 1])
    #expect(reading.events.map(\.tid) == [0, 1, 3, 0, 1, 3])
    // A buffer without events has no stream.
    #expect(reading.events.map(\.record.lane) == [0, 1, 2, 0, 1, 2])
    #expect(reading.trace.readPages() == 6 * flavour.pageBytes)
  }

  @Test("CPUs with numbers far apart, some without an event", arguments: flavours, [false, true])
  func sparse(flavour: TraceFlavour, listsEmpty: Bool) throws {
    var description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry], buffers: [TraceBuffer(cpus: [1, 5, 9, 300])])
    description.listsEmptyCPUs = listsEmpty
    let writer = TraceDatWriter(description)
    try writer.append(TraceBuilding.entries([10], flavour), cpu: 300)
    try writer.append(TraceBuilding.entries([20], flavour), cpu: 5)
    let reading = try Reading(try writer.bytes())
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map(\.cpu) == [300, 5])
    #expect(reading.trace.cpuCount == 301)
  }

  @Test("a trace without events", arguments: flavours)
  func empty(flavour: TraceFlavour) throws {
    let reading = try Reading(try TraceBuilding.file(flavour, pages: [[], []]))
    #expect(reading.damage.isEmpty && reading.events.isEmpty)
    #expect(reading.statistics.first == nil && reading.statistics.total == 0)
  }

  @Test("pages without events between pages with some", arguments: flavours)
  func emptyPages(flavour: TraceFlavour) throws {
    let empty = TraceBuilding.page(flavour, at: 5) { _ in }
    let reading = try Reading(
      try TraceBuilding.file(
        flavour, pages: [[empty, TraceBuilding.entries([10], flavour), empty, empty], [empty]]))
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map(\.time) == [10])
  }

  @Test("equal stamps go by CPU, then by position; the same every time", arguments: flavours)
  func ties(flavour: TraceFlavour) throws {
    let page = TraceBuilding.entries([10, 10, 20, 20], flavour)
    let bytes = try TraceBuilding.file(flavour, pages: [[page], [page], [page]])
    let reading = try Reading(bytes)
    #expect(reading.events.map(\.cpu) == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2])
    #expect(reading.events.map { $0.record.entryPC.rawValue } == [0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3])
  }

  @Test("a clock that goes back keeps the order of its CPU", arguments: flavours)
  func backwards(flavour: TraceFlavour) throws {
    let pages = [TraceBuilding.entries([100, 110], flavour), TraceBuilding.entries([50, 60], flavour)]
    let reading = try Reading(
      try TraceBuilding.file(flavour, pages: [pages, [TraceBuilding.entries([55, 105, 120], flavour)]]))
    #expect(reading.damage.isEmpty)
    #expect(reading.events.filter { $0.cpu == 0 }.map(\.time) == [100, 110, 50, 60])
    #expect(reading.events.filter { $0.cpu == 1 }.map(\.time) == [55, 105, 120])
    #expect(reading.events.map(\.time) == [55, 100, 105, 110, 50, 60, 120])
  }
}
