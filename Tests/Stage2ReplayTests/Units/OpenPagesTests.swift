import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// The pages with whose faults nothing was done, by assumption: they may be mapped.
@Suite("Pages of which it is open whether they are mapped")
struct OpenPagesTests {
  @Test("What is mapped, or surely unmapped, is not open any more")
  func closed() {
    let faults = UnsafeMutablePointer<DecidedFault>.allocate(capacity: 3)
    defer { faults.deallocate() }
    let nothing = FaultOutcome.nothing(.faultedAgain)
    for page in 0..<3 {
      let decision = FaultDecision(
        outcome: nothing, outcomeIfMapped: nothing, sizeProof: nil, isWrittenLater: false, isRaced: false)
      let window = FaultSlabTests.fault(IPA(UInt64(page) << 12))
      (faults + page).initialize(to: DecidedFault(window: window, decision: decision))
    }
    let region = RegionIndex(0)
    var table = TableKnowledge(pageSize: .size4K)
    table.regions.append(region, block: 0)
    for page in 0..<3 { table.noteOpen(SettledFault(at: faults + page), region) }
    var open = table.openPages
    #expect(open == [FrameKey(0), FrameKey(1), FrameKey(2)])
    table.noteMapped(SettledFault(at: faults + 1), region, level: .l3, [], .invalid(level: .l3))
    open = table.openPages
    #expect(open == [FrameKey(0), FrameKey(2)])
    table.noteUnmapped(FrameRange(start: GFN(0), end: GFN(1)), isAssumed: true)
    open = table.openPages
    #expect(open == [FrameKey(0), FrameKey(2)])
    table.noteUnmapped(FrameRange(start: GFN(0), end: GFN(1)))
    open = table.openPages
    #expect(open == [FrameKey(2)])
  }
}
