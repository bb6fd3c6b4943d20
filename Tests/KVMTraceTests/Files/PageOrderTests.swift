import KVMTrace
import KVMTypes
import Testing
import TraceSynth

/// Pages that do not follow one another as a ring buffer writes them.
@Suite("The order of pages")
struct PageOrderTests {
  static let flavours = [
    TraceFlavour(version: .v6), TraceFlavour(), TraceFlavour(compression: .zstd),
    TraceFlavour(version: .v6, byteOrder: .big, userLongBytes: 4, kernelLongBytes: 4),
  ]
  /// The stamps of the pages, two events each, begin here: 100 s.
  private static let start: UInt64 = 100_000_000_000

  private static func page(_ number: Int, _ flavour: TraceFlavour) -> [UInt8] {
    let time = start + UInt64(number) * 1_000_000
    return TraceBuilding.entries([time, time + 500_000], flavour)
  }

  private func reading(_ flavour: TraceFlavour, _ pages: [[UInt8]]) throws -> Reading {
    try Reading(try TraceBuilding.file(flavour, pages: [pages, [Self.page(3, flavour)]]))
  }

  @Test("a hole of zeros or ones is a loss in its place", arguments: flavours, [0, 0xff] as [UInt8])
  func hole(flavour: TraceFlavour, byte: UInt8) throws {
    let blank = [UInt8](repeating: byte, count: flavour.pageBytes)
    let reading = try reading(
      flavour, [Self.page(0, flavour), Self.page(1, flavour), blank, blank, Self.page(9, flavour)])
    #expect(reading.damage.count == 1 && reading.damage[0].cpu == 0)
    #expect(reading.damage[0].what == "2 pages of CPU 0 hold no events where some must be")
    let lost = reading.events.filter { $0.kind == .lost }
    #expect(lost.map(\.time) == [Self.start + 9_000_000] && lost[0].record.lostCount == nil)
    #expect(reading.statistics.lossCount == 1 && reading.statistics.gapCount == 1)
    #expect(reading.statistics.total == 8)
    #expect(reading.statistics.last?.rawValue == Self.start + 9_500_000)
  }

  @Test("a hole at the beginning, and one at the end", arguments: flavours)
  func edges(flavour: TraceFlavour) throws {
    let blank = [UInt8](repeating: 0, count: flavour.pageBytes)
    let first = try reading(flavour, [blank, Self.page(0, flavour)])
    #expect(first.damage.count == 1 && first.events.first?.kind == .lost)
    let last = try reading(flavour, [Self.page(0, flavour), blank])
    #expect(last.damage.count == 1 && last.statistics.lossCount == 1)
    #expect(last.events.count == 4)
  }

  @Test("an empty page that has lost its stamp, but not its data", arguments: flavours)
  func headless(flavour: TraceFlavour) throws {
    var headless = Self.page(1, flavour)
    headless.patch([UInt8](repeating: 0, count: 8 + flavour.kernelLongBytes), at: 0)
    let reading = try reading(flavour, [Self.page(0, flavour), headless, Self.page(2, flavour)])
    #expect(reading.damage.count == 1 && reading.statistics.gapCount == 1)
  }

  @Test("an empty page that lies in time is no damage", arguments: flavours)
  func empty(flavour: TraceFlavour) throws {
    let empty = TraceBuilding.page(flavour, at: Self.start + 1_200_000) { _ in }
    let reading = try reading(flavour, [Self.page(0, flavour), empty, Self.page(2, flavour)])
    #expect(reading.damage.isEmpty && reading.statistics.lossCount == 0 && reading.events.count == 6)
  }

  @Test("an empty page whose stamp lies behind the next one's, or before the last one's", arguments: [0, 7])
  func emptyOutOfTime(number: Int) throws {
    let flavour = TraceFlavour()
    let empty = TraceBuilding.page(flavour, at: Self.start + UInt64(number) * 1_000_000) { _ in }
    let reading = try reading(flavour, [Self.page(1, flavour), empty, Self.page(2, flavour)])
    #expect(reading.damage.count == 1 && reading.statistics.gapCount == 1)
  }

  @Test("a CPU that has only pages without events has lost none", arguments: flavours)
  func idle(flavour: TraceFlavour) throws {
    let blank = [UInt8](repeating: 0, count: flavour.pageBytes)
    let reading = try reading(flavour, [blank, blank])
    #expect(reading.damage.isEmpty && reading.events.count == 2)
  }

  @Test("a page without events that tells of a loss", arguments: flavours)
  func lossAlone(flavour: TraceFlavour) throws {
    let told = TraceBuilding.page(flavour, at: Self.start + 1_200_000) { $0.missed = .unknown }
    let reading = try reading(flavour, [Self.page(0, flavour), told, Self.page(2, flavour)])
    #expect(reading.damage.isEmpty && reading.statistics.lossCount == 1 && reading.statistics.gapCount == 0)
    #expect(reading.events.filter { $0.kind == .lost }.map(\.time) == [Self.start + 2_000_000])
  }

  @Test("a page that was written twice counts once", arguments: flavours)
  func copy(flavour: TraceFlavour) throws {
    let reading = try reading(
      flavour, [Self.page(0, flavour), Self.page(1, flavour), Self.page(1, flavour), Self.page(2, flavour)])
    #expect(reading.statistics.total == 8 && reading.statistics.gapCount == 1 && reading.damage.count == 1)
  }

  @Test(
    "where a page stands twice, events are missing before the first or behind the second", arguments: flavours
  )
  func copyInPlace(flavour: TraceFlavour) throws {
    let reading = try reading(
      flavour, [Self.page(0, flavour), Self.page(2, flavour), Self.page(2, flavour), Self.page(3, flavour)])
    let lost = reading.events.filter { $0.kind == .lost }
    #expect(lost.map { $0.time - Self.start } == [2_000_000, 3_000_000])
    #expect(lost.allSatisfy { $0.record.lostCount == nil && $0.record[RecordLayout.Lost.isDamage] == 1 })
    // One page is missing.
    #expect(reading.statistics.lossCount == 1 && reading.damage.count == 1 && reading.statistics.total == 8)
  }

  @Test(
    "behind a page that the next one precedes in time nothing is known, nor before it", arguments: flavours)
  func misplaced(flavour: TraceFlavour) throws {
    let reading = try reading(
      flavour, [Self.page(0, flavour), Self.page(9, flavour), Self.page(2, flavour), Self.page(3, flavour)])
    let lost = reading.events.filter { $0.kind == .lost }
    #expect(lost.map { $0.time - Self.start } == [9_000_000])
    #expect(reading.statistics.lossCount == 0 && reading.damage.count == 1)
    #expect(reading.damage[0].what.contains("goes back by 7500000 ns"))
  }

  @Test("pages in another order", arguments: flavours)
  func swapped(flavour: TraceFlavour) throws {
    let reading = try reading(
      flavour, [Self.page(0, flavour), Self.page(2, flavour), Self.page(1, flavour), Self.page(4, flavour)])
    #expect(reading.statistics.total == 10)
    #expect(
      reading.damage.map(\.what) == [
        "the time of CPU 0 goes back by 1500000 ns, from 100002500000 ns to 100001000000 ns"
      ])
    #expect(reading.statistics.first?.rawValue == Self.start)
    #expect(reading.statistics.last?.rawValue == Self.start + 4_500_000)
  }

  @Test(
    "time that steps back: by a writer's jitter in silence, by more it is told", arguments: flavours,
    [1, 1000, 10_000, 10_001, 5_000_000] as [UInt64])
  func stepBack(flavour: TraceFlavour, step: UInt64) throws {
    let later = Self.start + 6_000_000
    let reading = try reading(
      flavour,
      [
        TraceBuilding.entries([later, later + 7], flavour),
        TraceBuilding.entries([later + 7 - step, later + 8 - step], flavour),
      ])
    #expect(reading.damage.count == (step > 10_000 ? 1 : 0))
    let stamps = reading.events.map(\.time)
    #expect(reading.statistics.first?.rawValue == stamps.min())
    #expect(reading.statistics.last?.rawValue == stamps.max())
    #expect(reading.statistics.total == 6)
  }

  /// Pages of a CPU by the clock `counter`, of 100 events each, that stand in the order of `numbers`.
  private func ticks(
    _ numbers: [UInt64], _ flavour: TraceFlavour, clock: String = "counter"
  ) throws -> Reading {
    var description = TraceDescription(
      flavour, formats: [KVMEventFormats.entry], buffers: [TraceBuffer(clock: clock, cpus: [0])])
    description.options = [.clock("local [\(clock)]")]
    let writer = TraceDatWriter(description)
    for number in numbers {
      let begin = 1000 + 100 * number
      try writer.append(TraceBuilding.entries(Array(begin..<begin + 100), flavour), cpu: 0)
    }
    return try Reading(try writer.bytes())
  }

  @Test("pages in another order, by a clock that counts events", arguments: flavours)
  func swappedTicks(flavour: TraceFlavour) throws {
    #expect(try ticks([0, 1, 2, 3], flavour).damage.isEmpty)
    let reading = try ticks([0, 2, 1, 3], flavour)
    #expect(
      reading.damage.map(\.what) == [
        "the time of CPU 0 goes back by 199 ticks, from 1299 ticks to 1100 ticks"
      ])
    #expect(try ticks([0, 2, 1, 3], flavour, clock: "mono").damage.isEmpty)
  }

  @Test("time that steps back inside a page", arguments: flavours)
  func stepInside(flavour: TraceFlavour) throws {
    let page = TraceBuilding.page(flavour, at: Self.start) { page in
      page.event(TraceBuilding.entry(flavour), delta: 0)
      page.event(TraceBuilding.entry(flavour), delta: 5_000_000)
      page.absoluteStamp(Self.start + 1_000_000)
      page.event(TraceBuilding.entry(flavour), delta: 3)
    }
    let reading = try reading(flavour, [page])
    #expect(reading.events.map(\.time).sorted()[1] == Self.start + 1_000_003)
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("goes back by 4000000 ns"))
    #expect(reading.statistics.first?.rawValue == Self.start)
    #expect(reading.statistics.last?.rawValue == Self.start + 5_000_000)
  }
}
