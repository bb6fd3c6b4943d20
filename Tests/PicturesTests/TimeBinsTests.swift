import KVMTypes
import SeededRandom
import Stage2Model
import Testing

@testable import Pictures
@testable import Stage2Replay

@Suite("Intervals that double")
struct TimeBinsTests {
  private struct Count: Mergeable {
    var events = 0

    mutating func merge(_ next: Count) { events += next.events }
  }

  @Test("However long it takes, nothing is lost, and each event is in the interval of its moment")
  func doubling() {
    var bins = TimeBins<Count>()
    let times = (0..<5000).map { UInt64(1_000_000 + $0 * $0) }
    for time in times { bins.with(Nanoseconds(time)) { $0.events += 1 } }
    #expect(bins.bins.count <= TimeBins<Count>.intervalsMax && bins.bins.count > 128)
    for (index, bin) in bins.bins.enumerated() {
      let range = bins.begin(of: index).rawValue..<bins.begin(of: index + 1).rawValue
      #expect(bin.events == times.count(where: range.contains))
    }
  }

  @Test("What comes late counts with the first interval")
  func late() {
    var bins = TimeBins<Count>()
    bins.with(Nanoseconds(500)) { $0.events += 1 }
    bins.with(Nanoseconds(100)) { $0.events += 1 }
    #expect(bins.bins.map(\.events) == [2] && bins.start == Nanoseconds(500))
  }

  @Test(
    "What comes late and lies before all others has intervals of its own, and where that cannot be, counts with the first"
  )
  func beforeAll() {
    var bins = TimeBins<Count>()
    bins.with(Nanoseconds(5_000_500)) { $0.events += 1 }
    bins.with(Nanoseconds(4_997_600)) { $0.events += 1 }
    #expect(bins.bins.map(\.events) == [1, 0, 0, 1] && bins.start == Nanoseconds(4_997_500))
    bins.with(Nanoseconds(1_000_000)) { $0.events += 1 }
    #expect(bins.bins.count <= TimeBins<Count>.intervalsMax)
    #expect(bins.bins.reduce(0) { $0 + $1.events } == 3 && bins.bins[0].events == 1)
    #expect(bins.begin(of: 0) <= Nanoseconds(1_000_000) && bins.begin(of: 1) > Nanoseconds(1_000_000))
  }

  @Test(
    "What lasts counts in each interval as much as lies there, to the nanosecond, also where intervals double under it"
  )
  func lasting() {
    var bins = TimeBins<Count>()
    var random = SplitMix64(seed: 4)
    var (time, all) = (UInt64(7_000_000), UInt64(0))
    for round in 0..<2000 {
      // One after the other, so that no interval can have more than it is long.
      let duration = random.next() % (round % 100 == 0 ? 5_000_000 : 3000)
      bins.spread(from: Nanoseconds(time), Nanoseconds(duration)) { $0.events += Int($1) }
      (time, all) = (time + duration + random.next() % 50, all + duration)
    }
    #expect(bins.bins.reduce(0) { $0 + UInt64($1.events) } == all)
    #expect(bins.bins.allSatisfy { $0.events <= bins.interval.rawValue })
    // There is next to nothing between them.
    #expect(bins.bins.dropLast().allSatisfy { Double($0.events) > 0.9 * Double(bins.interval.rawValue) })
  }

  @Test("What ends where an interval does makes no more of them")
  func boundary() {
    var bins = TimeBins<Count>()
    bins.with(Nanoseconds(0)) { $0.events = 0 }
    let length = bins.interval.rawValue
    bins.spread(from: Nanoseconds(0), Nanoseconds(UInt64(TimeBins<Count>.intervalsMax) * length)) {
      $0.events += Int($1)
    }
    #expect(bins.bins.count == TimeBins<Count>.intervalsMax && bins.interval.rawValue == length)
    #expect(bins.bins.allSatisfy { $0.events == Int(length) })
  }

  @Test("Time under the lock is spread over intervals; holds are counted where they begin")
  func lock() {
    var lock = LockTimeline()
    let operation = LockedOperation(kind: .map, address: IPA(0), size: 4096)
    for (time, duration) in [(1_000_000, 2500), (1_010_000, 100)] as [(UInt64, UInt64)] {
      lock.add(
        RecordedHold(
          time: Nanoseconds(time), duration: Nanoseconds(duration), cpu: CPUIndex(0), tid: ThreadID(1),
          mode: .write,
          operation: operation))
    }
    #expect(lock.bins.bins.map(\.writeHeld) == [1000, 1000, 500, 0, 0, 0, 0, 0, 0, 0, 100])
    #expect(lock.bins.bins.map(\.holds.count) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    #expect(lock.bins.bins[0].holds.longest == Nanoseconds(2500))
  }

  @Test("A stamp at the end of time ends nothing")
  func endOfTime() {
    var bins = TimeBins<Count>()
    for time in [0, 1, UInt64.max] { bins.with(Nanoseconds(time)) { $0.events += 1 } }
    #expect(bins.bins.map(\.events).reduce(0, +) == 3)
  }

  @Test("Intervals and columns begin with the length that the clock asks for")
  func shortest() {
    var bins = TimeBins<Count>(shortest: EqualIntervals.shortest(isOfTicks: true))
    for time in 100..<120 { bins.with(Nanoseconds(UInt64(time))) { $0.events += 1 } }
    #expect(bins.bins.map(\.events) == Array(repeating: 1, count: 20) && bins.interval == Nanoseconds(1))
    #expect(TimeBins<Count>().interval == EqualIntervals.shortest(isOfTicks: false))
  }
}
