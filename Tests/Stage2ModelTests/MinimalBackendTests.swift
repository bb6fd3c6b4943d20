import KVMTypes
import Stage2Model
import Testing

/// A backend with what `Stage2Backend` demands and no more: a dictionary of pages.
private struct PageDictionary: ~Copyable, Stage2Backend {
  private var pages: [IPA: Stage2Prot] = [:]

  mutating func map(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    for offset in stride(from: 0, to: size, by: 4096) { pages[ipa + offset] = prot }
    return .success
  }

  mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult {
    for offset in stride(from: 0, to: size, by: 4096) { pages[ipa + offset] = nil }
    return .success
  }

  mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult {
    for offset in stride(from: 0, to: size, by: 4096) { pages[ipa + offset]?.remove(.write) }
    return .success
  }

  mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool { false }

  mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult {
    pages[ipa]?.formUnion(prot)
    return .success
  }

  mutating func mkyoung(_ ipa: IPA) {}

  borrowing func walk(_ ipa: IPA) -> Stage2Walk {
    pages[ipa].map { .leaf(level: .l3, prot: $0, young: true) } ?? .invalid(level: .l3)
  }
}

/// What `Stage2Backend` gives a backend that implements seven functions.
struct MinimalBackendTests {
  private static let ram = UInt64(0x4000_0000)

  @Test func runsUnderTheKernelsCallers() throws {
    let host = profile(.traditional)
    var vm = KVM(profile: host, geometry: try host.geometry(), stage2: PageDictionary())
    vm.addSlot()
    check(vm.fault(Self.ram).stage2Result, .success)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l3, prot: .rw, young: true))
    _ = vm.stage2.wrprotect(IPA(Self.ram), size: 4096)
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l3, prot: .read, young: true))
    // The end of the VM unmaps.
    vm.stage2.destroyRange(IPA(Self.ram), size: 1 << 30, chunk: 1 << 30)
    vm.stage2.destroyPGD()
    check(vm.stage2.walk(IPA(Self.ram)), .invalid(level: .l3))
  }

  @Test func tellsNothingOfWhatItDoesNotKnow() {
    var backend = PageDictionary()
    #expect(backend.accountedMemory == nil)
    #expect(backend.hypercallCounts == nil)
    #expect(backend.mappingTreeDepth() == nil)
    check(backend.takeByForce(IPA(0)), false)
    check(backend.split(IPA(0), size: 1 << 21, vcpu: VCPUIndex(0)), .invalid)
    check(backend.work, Stage2Work())
  }
}
