import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Memory that threads faulted on")
struct FaultedMemoryTests {
  private func frame(_ gfn: UInt64) -> FrameRange { FrameRange(start: GFN(gfn), end: GFN(gfn) + 1) }

  private func ranges(_ memory: [UInt64], devices: [UInt64] = []) -> [[UInt64]] {
    var faulted = FaultedMemory()
    for gfn in memory { faulted.add(ThreadID(1), frame(gfn), isMemory: true, pagesPerBlock: 512) }
    for gfn in devices { faulted.add(ThreadID(2), frame(gfn), isMemory: false, pagesPerBlock: 512) }
    return faulted.ranges { _ in true }.map { [$0.start.rawValue, $0.end.rawValue] }
  }

  @Test("Blocks side by side are one range, from the lowest frame to the highest")
  func neighbours() {
    #expect(ranges([10, 700, 1100]) == [[10, 1101]])
    #expect(ranges([1100, 700, 10]) == [[10, 1101]])
  }

  @Test("A block that nobody touched ends a range")
  func gap() { #expect(ranges([10, 1100]) == [[10, 11], [1100, 1101]]) }

  @Test("A device between frames ends a range, too")
  func devices() {
    #expect(ranges([10, 700], devices: [600]) == [[10, 11], [700, 701]])
    #expect(ranges([10, 700], devices: [20]) == [[10, 11], [700, 701]])
    #expect(ranges([10, 700], devices: [5, 800]) == [[10, 701]])
  }

  @Test("Threads that do not count are left out")
  func threads() {
    var faulted = FaultedMemory()
    faulted.add(ThreadID(1), frame(10), isMemory: true, pagesPerBlock: 512)
    faulted.add(ThreadID(2), frame(20), isMemory: true, pagesPerBlock: 512)
    #expect(faulted.ranges { $0 == ThreadID(2) } == [frame(20)])
  }
}
