import KVMTypes
import Testing

@testable import Stage2Model

/// Protected guests: donation, no notifier effect, reclaim, poison, sharing by the guest.
struct PKVMProtectedTests {
  static func vm(_ change: (inout PKVMConfiguration) -> Void = { _ in }) -> PKVMStage2 {
    makeVM(protected: true, change)
  }

  @Test func donate() {
    var vm = Self.vm()
    check(vm.fault(0x1000, pfn: 9, prot: .rwx), .success)
    check(vm.hypercalls[.hostDonateGuest], 1)
    check(vm.hyp.vmemmap.hostState(PFN(9)), .noPage)
    check(vm.hyp.vmemmap.guestOwner(PFN(9))?.gfn, GFN(1))
    check(vm.walk(0x1000), .leaf(level: .l3, prot: .rwx, young: true))
    check(vm.lockedPages.live, 1)
    check(vm.checkInvariants(), [])
  }

  @Test func onlyPagesWithAllRights() {
    var vm = Self.vm()
    check(vm.fault(0, size: block2M, prot: .rwx), .invalid)
    check(vm.fault(0, prot: .rw), .invalid)
    check(vm.warnings.count(of: .mapProtectedSize), 1)
    check(vm.warnings.count(of: .mapProtectedProt), 1)
    check(vm.hypercalls[.hostDonateGuest], 0)
  }

  /// A page that is the host's no more cannot be donated again, nor one that is shared.
  @Test func donateErrors() {
    let vmemmap = HypVMemmap()
    let configuration = PKVMConfiguration(geometry: geometry(), isProtected: true)
    var first = PKVMStage2(configuration, vmemmap: vmemmap)
    var second = PKVMStage2(configuration, vmemmap: vmemmap)
    var shared = PKVMStage2(PKVMConfiguration(geometry: geometry()), vmemmap: vmemmap)
    check(first.fault(0, pfn: 9, prot: .rwx), .success)
    check(second.fault(0, pfn: 9, prot: .rwx), .notPermitted)
    check(shared.fault(0, pfn: 9), .notPermitted)
    check(shared.fault(0, pfn: 10), .success)
    check(second.fault(0, pfn: 10, prot: .rwx), .notPermitted)
    check(second.mappingCount, 0)
  }

  /// Notifiers and dirty logging have no effect, and say so.
  @Test func rangeOperationsOnlyWarn() {
    var vm = Self.vm()
    check(vm.fault(0, prot: .rwx), .success)
    let calls = vm.hypercalls
    check(vm.unmap(0, page4K), .notPermitted)
    check(vm.wrprotect(IPA(0), size: page4K), .notPermitted)
    check(vm.testClearYoung(IPA(0), size: page4K, markOld: true), false)
    check(vm.relaxPerms(IPA(0), prot: .rw), .notPermitted)
    vm.mkyoung(IPA(0))
    check(vm.hypercalls, calls)
    check(vm.warnings.items.count, 5)
    check(vm.walk(0), .leaf(level: .l3, prot: .rwx, young: true))
  }

  /// A second vCPU on a page that is mapped: -EAGAIN after asking for poison.
  @Test func raceOnAPage() {
    var vm = Self.vm()
    check(vm.fault(0, prot: .rwx), .success)
    check(vm.fault(0, prot: .rwx, vcpu: VCPUIndex(1)), .again)
    check(vm.hypercalls[.vcpuInPoisonFault], 1)
    check(vm.hypercalls[.hostDonateGuest], 1)
  }

  /// Touched by the host: taken back, and the guest's next fault ends in -EFAULT.
  @Test func forcedReclaimPoisons() {
    var vm = Self.vm()
    check(vm.fault(0, pfn: 9, prot: .rwx), .success)
    check(vm.forceReclaimGuestPage(PFN(9)), true)
    check(vm.hyp.vmemmap.hostState(PFN(9)), .owned)
    check(vm.hyp.zeroedPages, 1)
    check(vm.walk(0), .invalid(level: .l3))
    check(vm.hyp.table.leaf(IPA(0)).descriptor.guestPageState, .poison)
    // The mapping stays, and so does the pin.
    check(vm.mappingCount, 1)
    check(vm.lockedPages.live, 1)
    check(vm.fault(0, prot: .rwx), .badAddress)
    check(vm.checkInvariants(), [])
    // Not a guest's page any more, or never: nothing is in the way of another try.
    check(vm.forceReclaimGuestPage(PFN(9)), true)
    check(vm.forceReclaimGuestPage(PFN(100)), true)
    check(vm.hyp.zeroedPages, 1)
    // The guest cannot share it either.
    check(vm.guestShareHost(IPA(0)), .hwPoison)
    check(vm.guestUnshareHost(IPA(0)), .hwPoison)
  }

  /// What EL2 answers to a forced reclaim, for each owner of the page.
  @Test func forcedReclaimOfEachOwner() {
    let vmemmap = HypVMemmap(regions: [.init(frames: PFN(0)..<PFN(100), isMemory: true)])
    let configuration = PKVMConfiguration(geometry: geometry(), isProtected: true)
    var vm = PKVMStage2(configuration, vmemmap: vmemmap)
    check(vm.hyp.forceReclaimGuestPage(PFN(100)), .badAddress)
    check(vm.hyp.forceReclaimGuestPage(PFN(1)), .again)
    vmemmap.override(PFN(1), state: .sharedOwned, shareCount: 1)
    check(vm.hyp.forceReclaimGuestPage(PFN(1)), .again)
    // The hypervisor's own.
    vmemmap.override(PFN(2), state: .noPage)
    check(vm.hyp.forceReclaimGuestPage(PFN(2)), .notPermitted)
    check(vm.forceReclaimGuestPage(PFN(2)), false)
    check(vm.fault(0, pfn: 9, prot: .rwx), .success)
    check(vm.guestShareHost(IPA(0)), .success)
    check(vm.hyp.forceReclaimGuestPage(PFN(9)), .again)
    check(vm.guestUnshareHost(IPA(0)), .success)
    check(vm.hyp.forceReclaimGuestPage(PFN(9)), .success)
  }

  /// EL2 looks for a VM that is not protected before it invalidates TLBs.
  @Test func remoteFlushesReachNothing() {
    var vm = Self.vm()
    check(vm.fault(0, prot: .rwx), .success)
    vm.flushRemoteTLBs()
    check(vm.hypercalls[.tlbFlushVMID], 1)
    check(vm.hyp.table.counters.tlbiVMID, 0)
    vm.destroyRange(IPA(0), size: 1 << 44)
    check(vm.destroyVM(), .success)
    // The VMID is clean before another VM gets it.
    check(vm.hyp.table.counters.tlbiVMID, 1)
  }

  @Test func beyondTheTable() {
    var vm = Self.vm()
    check(vm.fault(1 << 44, prot: .rwx), .range)
    check(vm.guestShareHost(IPA(1 << 44)), .range)
    check(vm.hyp.vcpuInPoisonFault(vcpu0, faultIPA: IPA(1 << 44)), .range)
    check(vm.hyp.startTeardownVM(), .success)
    check(vm.hyp.reclaimDyingGuestPage(GFN(1 << 32)), .range)
  }

  /// Poison is only found for a translation abort at level 3.
  @Test func poisonNeedsTheTrap() {
    var vm = Self.vm { $0.requiresLoadedVCPU = true }
    check(vm.firstRun(vcpu0), .success)
    check(vm.loadVCPU(vcpu0), true)
    check(vm.fault(0, prot: .rwx), .success)
    check(vm.hyp.vcpuInPoisonFault(vcpu0, faultIPA: IPA(0)), .invalid)
    vm.recordTrap(vcpu0, translationAbort: IPA(1 << 39))
    check(vm.hyp.vcpuInPoisonFault(vcpu0, faultIPA: IPA(0)), .invalid)
    vm.recordTrap(vcpu0, translationAbort: IPA(0))
    check(vm.hyp.vcpuInPoisonFault(vcpu0, faultIPA: IPA(0)), .success)
    // Any error but "not poisoned" is -EFAULT for the map.
    vm.recordTrap(vcpu0, translationAbort: nil)
    check(vm.fault(0, prot: .rwx), .badAddress)
  }

  /// MEM_SHARE lets the host use the page, MEM_UNSHARE ends that; twice is an error.
  @Test func guestShares() {
    var vm = Self.vm()
    check(vm.guestShareHost(IPA(0)), .invalid)
    check(vm.fault(0, pfn: 9, prot: .rwx), .success)
    check(vm.guestShareHost(IPA(page4K)), .noEntry)
    check(vm.guestUnshareHost(IPA(0)), .notPermitted)
    check(vm.guestShareHost(IPA(0)), .success)
    check(vm.hyp.vmemmap.hostState(PFN(9)), .sharedBorrowed)
    check(vm.guestShareHost(IPA(0)), .notPermitted)
    // The host may use it: its access only has to be tried again.
    check(vm.forceReclaimGuestPage(PFN(9)), true)
    check(vm.hyp.zeroedPages, 0)
    check(vm.checkInvariants(), [])
    check(vm.guestUnshareHost(IPA(0)), .success)
    check(vm.hyp.vmemmap.hostState(PFN(9)), .noPage)
  }

  /// Teardown reclaims page by page: owned ones are zeroed, shared ones are not, poisoned ones are the host's.
  @Test func teardown() {
    var vm = Self.vm()
    for index in 0..<3 as Range<UInt64> {
      check(vm.fault(index * page4K, pfn: 20 + index, prot: .rwx), .success)
    }
    check(vm.guestShareHost(IPA(page4K)), .success)
    check(vm.forceReclaimGuestPage(PFN(22)), true)
    let zeroed = vm.hyp.zeroedPages
    vm.destroyRange(IPA(0), size: 1 << 30)
    check(vm.hypercalls[.startTeardownVM], 1)
    check(vm.hypercalls[.reclaimDyingGuestPage], 3)
    check(vm.hyp.zeroedPages, zeroed + 1)
    check(vm.lockedPages.live, 0)
    vm.destroyRange(IPA(1 << 30), size: 1 << 30)
    check(vm.hypercalls[.startTeardownVM], 1)
    vm.destroyPGD()
    check(vm.destroyVM(), .success)
    check(vm.memory.allPages.live, 0)
    check(vm.memory.totalBytes.live, 0)
    for pfn in 20..<23 as Range<UInt64> { check(vm.hyp.vmemmap.hostState(PFN(pfn)), .owned) }
    check(vm.warnings.isEmpty, true)
  }

  /// A vCPU still loaded: the start of the teardown fails, every reclaim fails, the walk goes on, nothing is
  /// given back.
  @Test func teardownWithALoadedVCPU() {
    var vm = Self.vm { $0.requiresLoadedVCPU = true }
    check(vm.firstRun(vcpu0), .success)
    check(vm.loadVCPU(vcpu0), true)
    for index in 0..<2 as Range<UInt64> { check(vm.fault(index * page4K, prot: .rwx), .success) }
    vm.destroyRange(IPA(0), size: 1 << 30)
    check(vm.warnings.count(of: .startTeardownFailed), 1)
    check(vm.warnings.count(of: .reclaimFailed), 2)
    check(vm.mappingCount, 2)
    vm.destroyPGD()
    check(vm.warnings.count(of: .mappingsLeft), 1)
    check(vm.destroyVM(), .invalid)
    check(vm.isDestroyed, false)
  }
}
