import KVMTypes
import Testing

@testable import PerfettoExport

/// Slices that must not overlap on one track.
@Suite("Lanes of slices")
struct SliceLanesTests {
  private static func take(_ lanes: inout SliceLanes, _ begin: UInt64, _ end: UInt64?) -> SliceLanes.Place {
    lanes.take(from: Nanoseconds(begin), to: end.map { Nanoseconds($0) })
  }

  @Test("What follows, and what touches, lies on one lane")
  func following() {
    var lanes = SliceLanes()
    for (begin, end) in [(10, 20), (20, 20), (20, 30), (31, 31)] as [(UInt64, UInt64)] {
      #expect(Self.take(&lanes, begin, end).lane == 0)
    }
  }

  @Test("What overlaps, and what is told late, gets another lane; that is used again")
  func overlapping() {
    var lanes = SliceLanes()
    #expect(Self.take(&lanes, 10, 20) == .init(lane: 0, isNew: true, closesAnother: false))
    #expect(Self.take(&lanes, 15, 18) == .init(lane: 1, isNew: true, closesAnother: false))
    #expect(Self.take(&lanes, 16, 30) == .init(lane: 2, isNew: true, closesAnother: false))
    #expect(Self.take(&lanes, 18, 19) == .init(lane: 1, isNew: false, closesAnother: false))
    #expect(Self.take(&lanes, 5, 10) == .init(lane: 3, isNew: true, closesAnother: false))
    #expect(Self.take(&lanes, 20, 40) == .init(lane: 0, isNew: false, closesAnother: false))
  }

  @Test("What has no end ends where the next one begins")
  func withoutEnd() {
    var lanes = SliceLanes()
    _ = Self.take(&lanes, 10, nil)
    #expect(lanes.open.map(\.lane) == [0] && lanes.open[0].begin == Nanoseconds(10))
    #expect(Self.take(&lanes, 9, 9).lane == 1)
    #expect(Self.take(&lanes, 12, 13) == .init(lane: 0, isNew: false, closesAnother: true))
    #expect(lanes.open.isEmpty)
  }
}
