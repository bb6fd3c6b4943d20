import KVMTypes
import Testing

/// Addresses, frames and moments: each only with its own kind.
@Suite("Addresses and time")
struct AddressTests {
  @Test("frames and addresses", arguments: PageSize.allCases)
  func frames(size: PageSize) {
    let ipa = IPA(0x8_1234_5678)
    let gfn = ipa.gfn(size)
    #expect(gfn.ipa(size) == ipa.alignedDown(to: size.bytes))
    #expect(gfn.ipa(size).isAligned(to: size.bytes) && !ipa.isAligned(to: size.bytes))
    #expect((gfn + 1).ipa(size) == gfn.ipa(size) + size.bytes)
    #expect((gfn + 3) - gfn == 3)
    #expect(gfn < gfn + 1 && ipa - 1 < ipa)
  }

  @Test("host addresses")
  func host() {
    #expect(HVA(0x3000) - HVA(0x1000) == 0x2000)
    #expect(HVA(.max) + 1 == HVA(0), "the end of the address space is address 0")
    #expect(PFN(1) + 2 == PFN(3) && PFN(1) < PFN(2) && HVA(1) < HVA(2))
  }

  @Test("spans between clocks that disagree are empty")
  func spans() {
    #expect(Nanoseconds(5) - Nanoseconds(3) == Nanoseconds(2))
    #expect(Nanoseconds(3) - Nanoseconds(5) == Nanoseconds(0))
    #expect(Nanoseconds(3) + Nanoseconds(5) == Nanoseconds(8))
    #expect(Nanoseconds(.max) + Nanoseconds(5) == Nanoseconds(.max))
  }

  @Test("what a damaged file states ends at the greatest number")
  func saturation() {
    #expect((UInt64.max - 2).addingSaturated(2) == .max && UInt64.max.addingSaturated(2) == .max)
    let large: UInt64 = 1 << 60
    #expect(large.multipliedSaturated(by: 8) == 1 << 63 && large.multipliedSaturated(by: 16) == .max)
    #expect(UInt64(nearest: 2.5) == 3 && UInt64(nearest: -1) == 0 && UInt64(nearest: .nan) == 0)
    #expect(UInt64(nearest: Double(UInt64.max)) == .max && UInt64(nearest: .infinity) == .max)
  }

  @Test("the numbers are the kernel's")
  func kernelNumbers() {
    #expect(KernelResult.again.rawValue == -11 && KernelResult.noMemory.rawValue == -12)
    #expect(KernelResult.noEntry.rawValue == -2 && KernelResult.busy.rawValue == -16)
    #expect(KernelResult.success.isSuccess && !KernelResult.again.isSuccess && !KernelResult(1).isSuccess)
    #expect(
      Stage2Prot.rwx.rawValue == 0xf && Stage2Prot.rw.rawValue == 0xc && Stage2Prot.execute.rawValue == 3)
    #expect(Stage2Prot.device.rawValue == 0x10 && Stage2Prot.software3.rawValue == 1 << 58)
  }

  @Test("a basis is weaker the less a trace says")
  func basis() {
    #expect(Basis.allCases.sorted() == [.recorded, .derived, .assumed, .modelled])
    #expect(Basis.allCases.map(\.name) == ["recorded", "derived", "assumed", "modelled"])
  }
}
