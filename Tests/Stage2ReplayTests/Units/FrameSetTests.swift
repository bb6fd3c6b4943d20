import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Sets of frames")
struct FrameSetTests {
  private func frames(_ start: UInt64, _ end: UInt64) -> FrameRange {
    FrameRange(start: GFN(start), end: GFN(end))
  }

  @Test("Ranges that overlap or touch become one, and gaps are what is left")
  func ranges() {
    var set = FrameSet()
    for (start, end) in [(10, 20), (40, 50), (20, 25), (60, 60), (5, 6), (45, 70)] as [(UInt64, UInt64)] {
      set.insert(frames(start, end))
    }
    #expect(set.ranges == [frames(5, 6), frames(10, 25), frames(40, 70)])
    #expect(set.overlaps(frames(24, 30)) && !set.overlaps(frames(25, 40)) && set.overlaps(frames(0, 100)))
    #expect(set.gaps(in: frames(0, 45)) == [frames(0, 5), frames(6, 10), frames(25, 40)])
    #expect(set.gaps(in: frames(41, 60)) == [] && set.gaps(in: frames(80, 90)) == [frames(80, 90)])
    set.insert(frames(0, 100))
    #expect(set.ranges == [frames(0, 100)])
  }
}
