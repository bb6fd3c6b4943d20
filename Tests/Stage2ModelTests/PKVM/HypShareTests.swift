import KVMTypes
import Testing

@testable import Stage2Model

/// The checks of `__pkvm_host_share_guest` and `__pkvm_host_unshare_guest`, in their order.
struct HypShareTests {
  /// A created VM with one vCPU that has pages, and a machine with memory, a hole, and MMIO.
  static func hyp() -> HypVM {
    let regions: [HypVMemmap.Region] = [
      .init(frames: PFN(0)..<PFN(4000), isMemory: true),
      .init(frames: PFN(8192)..<PFN(8200), isMemory: false),
    ]
    let configuration = PKVMConfiguration(geometry: geometry())
    var hyp = HypVM(
      configuration, memory: MemoryAccounting(pageSize: .size4K),
      vmemmap: HypVMemmap(regions: regions, limit: PFN(1 << 20)))
    hyp.reserveVM()
    check(hyp.initVM(), .success)
    check(hyp.initVCPU(vcpu0), .success)
    return hyp
  }

  static func share(
    _ hyp: inout HypVM, _ pfn: UInt64?, _ gfn: UInt64, pages: UInt64 = 1, prot: Stage2Prot = .rw,
    hostPages: Int = 3
  ) -> KernelResult {
    var hostPages = hostPages
    hyp.memory.allocate(.hostMemcache, pages: hostPages)
    defer { hyp.memory.release(.hostMemcache, pages: hostPages) }
    return hyp.hostShareGuest(
      pfn.map { PFN($0) }, GFN(gfn), pages: pages, prot: prot, vcpu: vcpu0, hostPages: &hostPages)
  }

  /// Each row makes one check fail and all later ones too, so the order shows.
  @Test func orderOfChecks() {
    var hyp = Self.hyp()
    check(Self.share(&hyp, 5, 0, prot: [.read, .device]), .invalid)
    check(Self.share(&hyp, 1 << 20, 0), .invalid)
    check(Self.share(&hyp, 1 << 20 - 1, 0, pages: 512), .invalid)
    check(Self.share(&hyp, 512, 512, pages: 2), .invalid)
    check(Self.share(&hyp, 513, 512, pages: 512), .invalid)
    check(Self.share(&hyp, 512, 513, pages: 512), .invalid)
    // No region, a whole block of none, across the end of one, across the beginning of one, MMIO.
    check(Self.share(&hyp, 5000, 0), .notPermitted)
    check(Self.share(&hyp, 4096, 0, pages: 512), .notPermitted)
    check(Self.share(&hyp, 3584, 0, pages: 512), .invalid)
    check(hyp.vmemmap.checkAllowedMemory(PFN(8100), pages: 100), .invalid)
    check(Self.share(&hyp, 8192, 0), .notPermitted)
    // Beyond the guest's table.
    check(Self.share(&hyp, 5, 1 << 32), .range)
    // The guest has something there, even if the host page is not the host's.
    check(Self.share(&hyp, 5, 0), .success)
    check(Self.share(&hyp, 6, 0), .notPermitted)
    check(Self.share(&hyp, 512, 0, pages: 512), .notPermitted)
    // The host page.
    for state in [HypPageState.sharedBorrowed, .noPage, .sharedOwned] {
      hyp.vmemmap.override(PFN(7), state: state)
      check(Self.share(&hyp, 7, 1, hostPages: 0), .notPermitted)
    }
    hyp.vmemmap.override(PFN(7), state: .sharedOwned, shareCount: .max)
    check(Self.share(&hyp, 7, 1, hostPages: 0), .busy)
    // EL2's cache last; the shares that failed have filled it.
    check(hyp.memcachePages(vcpu0), 3)
    hyp.vcpus[0].memcache = 2
    hyp.memory.release(.hypMemcache)
    check(Self.share(&hyp, 8, 1, hostPages: 0), .noMemory)
    check(Self.share(&hyp, 8, 1), .success)
    check(hyp.vmemmap.hostState(PFN(8)), .sharedOwned)
    check(hyp.table.leaf(IPA(page4K)).descriptor.guestPageState, .sharedBorrowed)
    check(hyp.table.leaf(IPA(page4K)).descriptor.isYoung, true)
  }

  /// One bad page of a block refuses the block, and none of the others changes.
  @Test func blockIsAllOrNothing() {
    var hyp = Self.hyp()
    hyp.vmemmap.override(PFN(1023), state: .sharedBorrowed)
    check(Self.share(&hyp, 512, 512, pages: 512), .notPermitted)
    check(hyp.vmemmap.hostState(PFN(512)), .owned)
    check(hyp.vmemmap.shareCounts.isEmpty, true)
  }

  @Test func refillComesFirst() {
    var hyp = Self.hyp()
    hyp.failingRefills = 1
    check(Self.share(&hyp, 1 << 30, 0, prot: .device), .noMemory)
    check(Self.share(&hyp, 1 << 30, 0, prot: .device), .invalid)
    // Pages were moved although the share failed.
    check(hyp.memcachePages(vcpu0), 3)
  }

  @Test func unshareErrors() {
    var hyp = Self.hyp()
    check(hyp.hostUnshareGuest(GFN(0), pages: 2), .invalid)
    check(hyp.hostUnshareGuest(GFN(1), pages: 512), .invalid)
    check(hyp.hostUnshareGuest(GFN(0), pages: 1), .noEntry)
    check(hyp.hostUnshareGuest(GFN(1 << 32), pages: 1), .range)
    check(Self.share(&hyp, 512, 512, pages: 512), .success)
    check(hyp.hostUnshareGuest(GFN(513), pages: 1), .tooBig)
    check(Self.share(&hyp, 5, 0), .success)
    check(hyp.hostUnshareGuest(GFN(0), pages: 512), .tooBig)
    hyp.vmemmap.override(PFN(5), state: .owned)
    check(hyp.hostUnshareGuest(GFN(0), pages: 1), .notPermitted)
    hyp.vmemmap.override(PFN(5), state: .sharedOwned)
    check(hyp.hostUnshareGuest(GFN(0), pages: 1), .invalid)
    check(hyp.warnings.count(of: .hypShareCountZero), 1)
    hyp.vmemmap.override(PFN(5), state: .sharedOwned, shareCount: 1)
    check(hyp.hostUnshareGuest(GFN(0), pages: 1), .success)
    check(hyp.vmemmap.hostState(PFN(5)), .owned)
  }

  /// Who is asked for: the loaded vCPU, or the VM by its handle.
  @Test func vcpuAndHandle() {
    var vm = makeVM { $0.requiresLoadedVCPU = true }
    vm.topUpMemcache(vcpu: vcpu0, pages: 3)
    check(vm.map(IPA(0), size: page4K, pfn: nil, prot: .rw, vcpu: vcpu0), .invalid)
    check(vm.hyp.hostUnshareGuest(GFN(0), pages: 1), .invalid)
    check(vm.firstRun(vcpu0), .success)
    check(vm.map(IPA(0), size: page4K, pfn: nil, prot: .rw, vcpu: vcpu0), .invalid)
    check(vm.relaxPerms(IPA(0), prot: .rw), .invalid)
    vm.mkyoung(IPA(0))
    check(vm.warnings.count(of: .mkyoungFailed), 1)
    check(vm.loadVCPU(vcpu0), true)
    check(vm.loadVCPU(vcpu0), false)
    check(vm.map(IPA(0), size: page4K, pfn: nil, prot: .rw, vcpu: vcpu0), .success)
    vm.putVCPU(vcpu0)
    // By handle: no vCPU needed.
    check(vm.unmap(0, page4K), .success)
  }

  /// The table of locks and of handlers that need a vCPU.
  @Test func locksOfHandlers() {
    check(Hypercall.hostShareGuest.locks, [.host, .guest])
    check(Hypercall.hostUnshareGuest.locks, [.vmTable, .host, .guest])
    check(Hypercall.hostMkyoungGuest.locks, [.guest])
    check(Hypercall.initVCPU.locks, [.vmTable, .host, .hypPGD])
    check(Hypercall.finalizeTeardownVM.locks, [.vmTable, .host, .hypPGD, .guest])
    check(Hypercall.startTeardownVM.locks, [.vmTable])
    let loaded = Hypercall.allCases.filter(\.actsOnLoadedVCPU)
    check(
      Set(loaded),
      [.hostShareGuest, .hostDonateGuest, .hostRelaxPermsGuest, .hostMkyoungGuest, .vcpuInPoisonFault])
    for hypercall in Hypercall.allCases {
      check(hypercall.locks.map(\.rawValue), hypercall.locks.map(\.rawValue).sorted())
    }
  }
}
