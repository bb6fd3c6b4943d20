import KVMTypes
import Testing

@testable import Stage2Replay

/// What an event must satisfy by itself.
@Suite("Events by themselves")
struct SyndromeRuleTests {
  private let page = IPA(0x4000_0000)

  @Test(
    "Syndromes of real hosts are in order",
    arguments: [
      0x8200_0004, 0x8200_000f, 0x93c0_8007, 0x93c1_8047, 0x93c1_804f, 0x93c1_804a, 0x9200_00c7, 0x9200_0046,
    ] as [UInt64])
  func real(esr: UInt64) { #expect(SyndromeRules.check(ESR(esr), page) == nil) }

  @Test(
    "D19: a syndrome that contradicts itself",
    arguments: [
      0x8000_0007,  // a fetch of a 16-bit instruction
      0x8200_0047,  // a fetch that writes
      0x8300_0007,  // a fetch with a syndrome of the instruction
      0x9000_0007,  // no syndrome of an instruction of 16 bits
      0x9200_0010,  // an external abort
      0x9600_0007,  // an abort of the host's own
    ] as [UInt64])
  func contradiction(esr: UInt64) { #expect(SyndromeRules.check(ESR(esr), page) == .syndromeIsConsistent) }

  @Test("D20: an address inside a page of 4 KiB")
  func address() {
    #expect(SyndromeRules.check(ESR(0x93c0_8007), page + 0x800) == .addressHasPageGranularity)
    #expect(SyndromeRules.check(ESR(0x93c0_8007), page + 0x1000) == nil)
  }

  @Test("D9: an unmap of a part of a page")
  func unmap() {
    func covers(_ start: UInt64, _ end: UInt64, _ pageSize: PageSize) -> Bool {
      SyndromeRules.coversPages(start: HVA(start), end: HVA(end), pageSize)
    }
    #expect(covers(0x4000, 0x8000, .size16K) && covers(0x1000, 0x3000, .size4K))
    #expect(!covers(0x1000, 0x4000, .size16K) && !covers(0x1000, 0x1fff, .size4K))
  }
}
