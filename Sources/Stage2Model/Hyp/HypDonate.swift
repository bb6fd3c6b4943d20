import KVMTypes

/// Pages of protected guests: donated, shared back by the guest, reclaimed, poisoned
/// (`arch/arm64/kvm/hyp/nvhe/mem_protect.c` and `pkvm.c`).
extension HypVM {
  /// The handler of `__pkvm_host_donate_guest`: the page becomes the guest's, the host loses it.
  ///
  /// In this order: -EINVAL without a loaded vCPU or for a non-protected guest, -ENOMEM where the memory
  /// cache cannot be refilled, -EINVAL or -EPERM for what is not memory, -EPERM where the host does not own
  /// the page alone or the guest has anything there, a poisoned page included, -ENOMEM where EL2's cache
  /// holds less than a map can need; -ERANGE for a guest frame beyond the table.
  mutating func hostDonateGuest(
    _ pfn: PFN?, _ gfn: GFN, vcpu: VCPUIndex, hostPages: inout Int
  ) -> KernelResult {
    guard isLoaded(vcpu), isProtected, let handle else { return .invalid }
    guard refillMemcache(vcpu, hostPages: &hostPages) else { return .noMemory }
    if let pfn {
      let result = vmemmap.checkAllowedMemory(pfn, pages: 1)
      if !result.isSuccess { return result }
      if vmemmap.hostState(pfn) != .owned { return .notPermitted }
    }
    let ipa = ipa(gfn)
    if ipa.rawValue >= table.ipaLimit { return .range }
    guard table.leaf(ipa).descriptor.guestPageState == .noPage else { return .notPermitted }
    guard hasMapMemory(vcpu) else { return .noMemory }
    let result = mapLeaf(ipa, size: 1 << pageShift, pfn: pfn, prot: .rwx, state: .owned, vcpu: vcpu)
    if result.isSuccess, let pfn { vmemmap.donate(pfn, to: .init(handle: handle, gfn: gfn)) }
    return result
  }

  /// The handler of `__pkvm_vcpu_in_poison_fault`: 1 if the page that the vCPU trapped on is poisoned, else 0.
  /// -EINVAL without a loaded vCPU, unless its last trap was a stage-2 translation abort, and where the walk
  /// of that address ends above level 3; -ERANGE for an address beyond the table.
  ///
  /// - Parameter faultIPA: the address of the fault that the host handles, which is the vCPU's last trap
  ///   unless traps are modelled (`PKVMConfiguration.requiresLoadedVCPU`).
  mutating func vcpuInPoisonFault(_ vcpu: VCPUIndex, faultIPA: IPA) -> KernelResult {
    guard isLoaded(vcpu) else { return .invalid }
    let trap = vcpus[vcpu.rawValue].translationAbort ?? (requiresLoadedVCPU ? nil : faultIPA)
    guard let trap else { return .invalid }
    if trap.rawValue >= table.ipaLimit { return .range }
    let (leaf, level) = table.leaf(trap)
    guard level == .l3 else { return .invalid }
    return KernelResult(leaf.guestPageState == .poison ? 1 : 0)
  }

  /// The handler of `__pkvm_reclaim_dying_guest_page`: the host gets back a page of a VM that is torn down;
  /// one that the guest owned is zeroed first.
  ///
  /// -EINVAL unless the VM is dying, -ENOENT where nothing is mapped, -E2BIG where the leaf is no page, -EPERM
  /// for a page that the guest does not own. A poisoned page was the host's already: success.
  mutating func reclaimDyingGuestPage(_ gfn: GFN) -> KernelResult {
    guard state == .dying else { return .invalid }
    let ipa = ipa(gfn)
    let (leaf, error) = validGuestPTE(ipa)
    if !error.isSuccess { return error == .hwPoison ? .success : error }
    switch leaf.guestPageState {
    case .owned: zeroedPages += 1
    case .sharedOwned: break
    default: return .notPermitted
    }
    let result = table.unmap(ipa, size: 1 << pageShift)
    if result.isSuccess { pageStateChanges += 1 }
    if result.isSuccess, let pfn = leaf.pfn { vmemmap.reclaim(pfn) }
    return result
  }

  /// The handler of `__pkvm_force_reclaim_guest_page`: the host touched a page that it had donated and gets it
  /// back, zeroed; the guest finds it poisoned.
  ///
  /// -EFAULT for what is not memory; -EAGAIN where the host may use the page after all (it owns it, or a guest
  /// shares it) and where the owner is gone meanwhile; -EPERM for a page of the hypervisor. Of the guest's entry:
  /// -EHWPOISON, -ENOENT, -E2BIG as for `validGuestPTE`, -EPERM in a state other than owned.
  ///
  /// The caller finds the VM by `vmemmap.guestOwner`; a page of another VM is -EPERM here.
  mutating func forceReclaimGuestPage(_ pfn: PFN) -> KernelResult {
    guard vmemmap.isMemory(pfn) else { return .badAddress }
    guard vmemmap.hostState(pfn) == .noPage else { return .again }
    guard let owner = vmemmap.guestOwner(pfn) else { return .notPermitted }
    guard vmemmap.isLive(owner.handle) else { return .again }
    guard owner.handle == handle else { return .notPermitted }
    return forceReclaimGuestPage(at: ipa(owner.gfn))
  }

  /// The part of `__pkvm_host_force_reclaim_page_guest` that concerns the guest's entry.
  mutating func forceReclaimGuestPage(at ipa: IPA) -> KernelResult {
    let (leaf, error) = validGuestPTE(ipa)
    if !error.isSuccess { return error }
    guard leaf.guestPageState == .owned else { return .notPermitted }
    let page = ipa.alignedDown(to: 1 << pageShift)
    let result = table.annotate(page, size: 1 << pageShift, type: .poisoned)
    guard result.isSuccess else { return result }
    pageStateChanges += 1
    zeroedPages += 1
    if let pfn = leaf.pfn { vmemmap.reclaim(pfn) }
    return result
  }

  /// `__pkvm_guest_share_host`, the guest's MEM_SHARE call: the host may use the page as well.
  ///
  /// -EPERM for a page that the guest does not own alone, -EHWPOISON for one that the host took by force. -ENOENT
  /// stands for a page that is not mapped yet: EL2 then pretends that the guest took a translation fault on it,
  /// and the guest calls again.
  mutating func guestShareHost(_ ipa: IPA) -> KernelResult {
    guestTransition(ipa, from: .owned, to: .sharedOwned, hostState: .sharedBorrowed)
  }

  /// `__pkvm_guest_unshare_host`, the guest's MEM_UNSHARE call: the page is the guest's alone again. -EPERM for a
  /// page that it does not share. For -ENOENT and -EHWPOISON see `guestShareHost`.
  mutating func guestUnshareHost(_ ipa: IPA) -> KernelResult {
    guestTransition(ipa, from: .sharedOwned, to: .owned, hostState: .noPage)
  }

  /// `get_valid_guest_pte`: the page that the guest has at `ipa`; -ERANGE beyond the table, -EHWPOISON for a poisoned
  /// page, -ENOENT for none, -E2BIG for a block.
  private mutating func validGuestPTE(_ ipa: IPA) -> (leaf: Stage2Descriptor, error: KernelResult) {
    let (leaf, level) = table.leaf(ipa)
    if ipa.rawValue >= table.ipaLimit { return (leaf, .range) }
    if leaf.guestPageState == .poison { return (leaf, .hwPoison) }
    if !leaf.isValid { return (leaf, .noEntry) }
    return (leaf, level == .l3 ? .success : .tooBig)
  }

  private mutating func guestTransition(
    _ ipa: IPA, from old: HypPageState, to new: HypPageState, hostState: HypPageState
  ) -> KernelResult {
    guard isProtected, state == .created else { return .invalid }
    let (leaf, error) = validGuestPTE(ipa)
    if !error.isSuccess { return error }
    guard leaf.guestPageState == old else { return .notPermitted }
    if let pfn = leaf.pfn {
      let expected: HypPageState = old == .owned ? .noPage : .sharedBorrowed
      guard vmemmap.hostState(pfn) == expected else { return .notPermitted }
    }
    let page = ipa.alignedDown(to: 1 << pageShift)
    let result = table.map(
      page, size: 1 << pageShift, pfn: leaf.pfn, prot: Stage2Prot.rwx.union(new.prot), sharing: .exclusive)
    if result.isSuccess, let pfn = leaf.pfn { vmemmap.setHostState(pfn, hostState) }
    return result
  }
}
