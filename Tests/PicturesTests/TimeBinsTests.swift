import KVMTypes
import Testing

@testable import Pictures

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

  @Test("A stamp at the end of time ends nothing")
  func endOfTime() {
    var bins = TimeBins<Count>()
    for time in [0, 1, UInt64.max] { bins.with(Nanoseconds(time)) { $0.events += 1 } }
    #expect(bins.bins.map(\.events).reduce(0, +) == 3)
  }
}
