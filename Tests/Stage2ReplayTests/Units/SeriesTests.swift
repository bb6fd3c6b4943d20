import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

@Suite("Intervals of series")
struct SeriesTests {
  @Test("A grid has intervals of 1, 2 or 5 times a power of ten, as few as are not too many")
  func lengths() {
    func grid(_ span: UInt64) -> [UInt64] {
      let grid = TimeGrid(from: Nanoseconds(700), to: Nanoseconds(700 + span))
      return [grid.interval.rawValue, UInt64(grid.count)]
    }
    #expect(grid(0) == [1000, 1])
    #expect(grid(199_999) == [1000, 200])
    #expect(grid(200_000) == [2000, 101])
    #expect(grid(400_000) == [5000, 81])
    #expect(grid(1_000_000) == [10_000, 101])
    #expect(grid(81_000_000_000) == [500_000_000, 163])
    #expect(TimeGrid(from: Nanoseconds(9), to: Nanoseconds(3)).count == 1)
    #expect(TimeGrid(from: Nanoseconds(0), to: Nanoseconds(.max)).count <= TimeGrid.intervalsMax)
  }

  @Test("Of a clock that counts ticks, the shortest interval is a tick")
  func ticks() {
    func grid(_ span: UInt64) -> [UInt64] {
      let grid = TimeGrid(from: Nanoseconds(7), to: Nanoseconds(7 + span), isOfTicks: true)
      return [grid.interval.rawValue, UInt64(grid.count)]
    }
    #expect(grid(0) == [1, 1] && grid(199) == [1, 200])
    #expect(grid(200) == [2, 101] && grid(1500) == [10, 151])
  }

  @Test("The last interval of a grid that reaches to the end of time ends there", arguments: [0, 1 << 63])
  func endOfTime(first: UInt64) {
    let grid = TimeGrid(from: Nanoseconds(first), to: Nanoseconds(.max))
    #expect(grid.end(of: grid.count - 1) == Nanoseconds(.max))
    #expect(grid.start(of: grid.count - 1) < Nanoseconds(.max))
    #expect(grid.index(of: Nanoseconds(.max)) == grid.count - 1)
  }

  @Test("A moment outside a grid counts with its first or last interval")
  func indices() {
    let grid = TimeGrid(from: Nanoseconds(1000), to: Nanoseconds(10_999))
    #expect(grid.count == 10)
    #expect(
      [0, 1000, 1999, 2000, 10_999, 99_999].map { grid.index(of: Nanoseconds($0)) } == [0, 0, 0, 1, 9, 9])
    #expect(grid.start(of: 3) == Nanoseconds(4000))
    #expect(grid.end(of: 3) == Nanoseconds(5000))
  }

  @Test(
    "A VM's memory is sampled at the end of each interval, from its first operation to the end of the trace")
  func memory() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, story.memory + story.page)
    story.wait(microseconds: 1000)
    story.unmap(.kswapd, story.crookedHVA)
    story.wait(microseconds: 1000)
    story.testAge(.kswapd, story.crookedHVA)
    let result = try story.replay().result
    let series = result.vms[0].memorySeries
    #expect(result.grid.interval == Nanoseconds(20_000))
    #expect(series.first + series.samples.count == result.grid.count)
    let pages = series.samples.map(\.pageMappings)
    #expect(pages.first == 2 && pages.last == 1)
    #expect(pages.filter { $0 == 2 }.count + pages.filter { $0 == 1 }.count == pages.count)
    let change = result.grid.end(of: series.first + (pages.firstIndex(of: 1) ?? 0))
    // The unmap came a millisecond after the faults, a few microseconds into the trace.
    #expect(change >= Nanoseconds(result.grid.start.rawValue + 1_000_000))
    #expect(change <= Nanoseconds(result.grid.start.rawValue + 1_040_000))
    #expect(series.samples.last?.totalBytes == result.vms[0].memory.totalBytes.live)
  }

  @Test(
    "Intervals of a VM's own life double where they would be too many, and each ends as its second half did")
  func life() {
    func sample(_ bytes: Int) -> LifeSeries.Sample {
      var memory = MemorySample(MemoryAccounting(pageSize: .size4K))
      memory.totalBytes = bytes
      return LifeSeries.Sample(memory, shownPages: bytes / 10)
    }
    var series = LifeSeries(from: Nanoseconds(5000))
    // Before each operation the memory is what the one before left.
    for (time, bytes) in [(5500, 10), (7200, 20), (130_000, 30)] {
      series.advance(to: Nanoseconds(UInt64(time)), sample(bytes))
    }
    #expect(series.interval == Nanoseconds(1000) && series.samples.count == 125)
    #expect(series.samples.prefix(3).map(\.totalBytes) == [20, 20, 30])
    #expect(series.end(of: 0) == Nanoseconds(6000) && series.boundary == Nanoseconds(131_000))

    series.advance(to: Nanoseconds(5000 + 128_000), sample(40))
    #expect(series.interval == Nanoseconds(2000) && series.samples.count == 64)
    #expect(series.samples.prefix(2).map(\.totalBytes) == [20, 30])
    #expect(series.samples.suffix(2).map(\.totalBytes) == [40, 40])
    #expect(series.samples.last?.shownPages == 4)

    let longer = series.extended(to: Nanoseconds(3_000_000_000))
    #expect((64...LifeSeries.intervalsMax + 1).contains(longer.samples.count))
    #expect(longer.end(of: longer.samples.count - 1) > Nanoseconds(3_000_000_000))
    #expect(longer.end(of: longer.samples.count - 2) <= Nanoseconds(3_000_000_000))
    #expect(series.extended(to: Nanoseconds(.max)).samples.allSatisfy { $0.totalBytes == 40 })
  }

  @Test("How a VM's own life is divided does not depend on how long the trace goes on after it")
  func lifeInLongTrace() throws {
    func replayed(waiting milliseconds: UInt64) throws -> ReplayResult {
      let story = Scenario()
      story.createSlot()
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory)
      story.wait(microseconds: 1000)
      story.handle(.vcpu0, story.memory + story.page)
      story.stop(.vcpu0)
      story.wait(microseconds: milliseconds * 1000)
      // What concerns no VM.
      story.run(.kswapd)
      return try story.replay().result
    }
    let (short, long) = (try replayed(waiting: 1), try replayed(waiting: 100_000))
    #expect(short.grid.interval < long.grid.interval)
    let (life, same) = (short.vms[0].lifeSeries, long.vms[0].lifeSeries)
    #expect(life.interval == same.interval && life.samples == same.samples && life.start == same.start)
    #expect(life.samples.last?.shownPages == 2)
    #expect(life.samples.first?.totalBytes != life.samples.last?.totalBytes)
  }
}
