import KVMTypes

/// Sharing host pages with a non-protected guest, and taking them back
/// (`arch/arm64/kvm/hyp/nvhe/mem_protect.c`).
extension HypVM {
  /// The handler of `__pkvm_host_share_guest`, and the function of that name.
  ///
  /// In this order: -EINVAL without a loaded vCPU or for a protected guest, -ENOMEM where the memory cache
  /// cannot be refilled, -EINVAL for rights other than R, W and X, for frames beyond the host's IPA space,
  /// for a size that is neither a page nor an aligned block, -EINVAL or -EPERM for what is not memory,
  /// -ERANGE for guest frames beyond the table, -EPERM where the guest has anything mapped in the range, -EPERM where the host may not share the page,
  /// -EBUSY at the last share count, -ENOMEM where EL2's cache holds less than a map can need.
  @inline(__always)
  mutating func hostShareGuest(
    _ pfn: PFN?, _ gfn: GFN, pages: UInt64, prot: Stage2Prot, vcpu: VCPUIndex, hostPages: inout Int
  ) -> KernelResult {
    guard isLoaded(vcpu), !isProtected else { return .invalid }
    guard refillMemcache(vcpu, hostPages: &hostPages) else { return .noMemory }
    if !prot.isSubset(of: .rwx) { return .invalid }
    if let pfn, !vmemmap.isValidRange(pfn, pages: pages) { return .invalid }
    guard let size = transitionSize(pfn, gfn, pages: pages) else { return .invalid }
    if let pfn {
      let result = vmemmap.checkAllowedMemory(pfn, pages: pages)
      if !result.isSuccess { return result }
    }
    let ipa = ipa(gfn)
    if ipa.rawValue &+ size > table.ipaLimit { return .range }
    guard isUnmapped(ipa, size: size) else { return .notPermitted }
    if let pfn {
      let result = vmemmap.checkShareable(pfn, pages: pages)
      if !result.isSuccess { return result }
    }
    guard hasMapMemory(vcpu) else { return .noMemory }
    let result = mapLeaf(ipa, size: size, pfn: pfn, prot: prot, state: .sharedBorrowed, vcpu: vcpu)
    if result.isSuccess, let pfn { vmemmap.share(pfn, pages: pages) }
    return result
  }

  /// `__guest_check_page_state_range` for `PKVM_NOPAGE`: the guest has nothing in the range.
  ///
  /// Mutating, because a call that borrows copies the table's fields to the stack.
  @inline(__always)
  private mutating func isUnmapped(_ ipa: IPA, size: UInt64) -> Bool {
    if size == 1 &<< pageShift {
      let leaf = table.leaf(ipa).descriptor
      return !leaf.isValid && leaf.guestPageState == .noPage
    }
    return table.isUnmapped(ipa, size: size)
  }

  /// The handler of `__pkvm_host_unshare_guest`, and the function of that name.
  ///
  /// -EINVAL for an unknown or protected VM and for a size that is neither a page nor an aligned block,
  /// -ERANGE beyond the table, -ENOENT where nothing is mapped, -E2BIG where the leaf has another size, -EPERM where guest or host
  /// hold the page in another state.
  mutating func hostUnshareGuest(_ gfn: GFN, pages: UInt64) -> KernelResult {
    guard isFoundAsNonProtected else { return .invalid }
    guard let size = transitionSize(nil, gfn, pages: pages) else { return .invalid }
    let ipa = ipa(gfn)
    if ipa.rawValue >= table.ipaLimit { return .range }
    let (leaf, level) = table.leaf(ipa)
    guard leaf.isValid else { return .noEntry }
    guard table.granule(Int(level.rawValue)) == size else { return .tooBig }
    guard leaf.guestPageState == .sharedBorrowed else { return .notPermitted }
    if let pfn = leaf.pfn {
      let result = vmemmap.checkUnshareable(pfn, pages: pages)
      if !result.isSuccess {
        if result == .invalid { warnings.record(.hypShareCountZero) }
        return result
      }
    }
    let result = table.unmap(ipa, size: size)
    if result.isSuccess { pageStateChanges += Int(pages) }
    if result.isSuccess, let pfn = leaf.pfn { vmemmap.unshare(pfn, pages: pages) }
    return result
  }
}
