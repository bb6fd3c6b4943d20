import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Regions that faults touched")
struct FaultedRegionsTests {
  @Test(
    "Three of four regions that were empty must have taken faults on pages, at whatever addresses",
    arguments: [0, 1 << 50] as [UInt64])
  func share(base: UInt64) {
    var regions = FaultedRegions(pageSize: .size4K)
    func note(_ region: UInt64, _ level: TranslationLevel) {
      regions.note(IPA(base + region << 21), level)
    }
    for region in 0..<8 as Range<UInt64> { note(region, .l2) }
    for region in 2..<7 as Range<UInt64> { note(region, .l3) }
    note(100, .l3)
    #expect(!regions.areOfPages)
    note(1, .l3)
    note(1, .l3)
    #expect(regions.areOfPages)
    note(200, .l1)
    #expect(!regions.areOfPages)
  }
}
