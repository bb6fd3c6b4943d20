public import KVMTypes

/// `pkvm_pgtable_stage2_map` in every era.
extension PKVMStage2 {
  /// `pkvm_pgtable_stage2_map`: has EL2 map `size` bytes at `ipa` and remembers the mapping.
  ///
  /// For a non-protected guest from 6.16 on: where the first mapping that overlaps has the same size,
  /// -EAGAIN, without a hypercall (another vCPU was faster; neither frame nor rights are compared). Where
  /// it has another size, every overlapping mapping is unshared, whole, and then `size` is shared; what was
  /// unshared stays so if the share fails. Where nothing overlaps, one share.
  ///
  /// -EINVAL, with a warning, for a size other than PAGE_SIZE and PMD_SIZE. Errors of EL2 are returned as
  /// they are, until 7.2 with a warning. The profile's era decides; see `PKVMEra.sharesBeforeLookup` for those before 6.16.
  public mutating func map(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    prepare(vcpu)
    // The same with what most calls of a replay have in common.
    if sharesAfterLookup, pfn == nil, size == 1 &<< pageShift {
      return mapShared(ipa, pages: 1, pfn: nil, prot: prot, vcpu: vcpu)
    }
    return mapAny(ipa, size: size, pfn: pfn, prot: prot, vcpu: vcpu)
  }

  @inline(never)
  private mutating func mapAny(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    if configuration.isProtected { return mapProtected(ipa, size: size, pfn: pfn, prot: prot, vcpu: vcpu) }
    if configuration.era.sharesBeforeLookup {
      return mapBeforeLookup(ipa, size: size, pfn: pfn, prot: prot, vcpu: vcpu)
    }
    guard size == 1 &<< pageShift || size == pmdBytes else {
      warnings.record(.mapSize)
      return .invalid
    }
    return mapShared(ipa, pages: size &>> pageShift, pfn: pfn, prot: prot, vcpu: vcpu)
  }

  /// The form for non-protected guests from 6.16 on, of a size that there is.
  @inline(__always)
  private mutating func mapShared(
    _ ipa: IPA, pages: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    let (first, last) = frames(ipa, pages &<< pageShift)
    if let overlap = firstMapping(first, last) {
      if overlap.pages == pages { return .again }
      let result = unshareMappings(first, last)
      if !result.isSuccess { return result }
    }
    hypercalls.count(.hostShareGuest)
    let result = hyp.hostShareGuest(
      pfn, first, pages: pages, prot: prot, vcpu: vcpu, hostPages: &memcaches[vcpu.rawValue].pages)
    if !result.isSuccess { return refused(result) }
    let isNonCacheable = !prot.isSubset(of: .rwx) && configuration.era.marksNonCacheable
    insertMapping(Mapping(gfn: first, pfn: pfn, pages: pages, isNonCacheable: isNonCacheable), vcpu: vcpu)
    return .success
  }

  /// The form of 6.14 and 6.15: pages only, EL2 is asked first. Its -EPERM means that another vCPU was faster.
  /// Any other error is returned as well, but only after the mapping was inserted all the same: a mapping
  /// without a leaf, on which every later unshare fails with -ENOENT.
  @inline(never)
  private mutating func mapBeforeLookup(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    if size != 1 &<< pageShift { return .invalid }
    let gfn = gfn(ipa)
    hypercalls.count(.hostShareGuest)
    let result = hyp.hostShareGuest(
      pfn, gfn, pages: 1, prot: prot, vcpu: vcpu, hostPages: &memcaches[vcpu.rawValue].pages)
    if result == .notPermitted { return .again }
    let isNew = insertMapping(Mapping(gfn: gfn, pfn: pfn, pages: 1), vcpu: vcpu)
    if result.isSuccess {
      phantoms.remove(gfn)
    } else if isNew {
      phantoms.insert(gfn)
    }
    return result
  }

  /// The form for protected guests: pages only, read, write and execute, donated.
  ///
  /// A frame that has a mapping already is one of two things: taken by force (-EFAULT, the guest cannot go
  /// on) or mapped by a faster vCPU (-EAGAIN).
  @inline(never)
  private mutating func mapProtected(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    guard size == 1 &<< pageShift, prot == .rwx else {
      warnings.record(size == 1 &<< pageShift ? .mapProtectedProt : .mapProtectedSize)
      return .invalid
    }
    let (first, last) = frames(ipa, size)
    if firstMapping(first, last) != nil {
      hypercalls.count(.vcpuInPoisonFault)
      return hyp.vcpuInPoisonFault(vcpu, faultIPA: ipa).isSuccess ? .again : .badAddress
    }
    hypercalls.count(.hostDonateGuest)
    let result = hyp.hostDonateGuest(pfn, first, vcpu: vcpu, hostPages: &memcaches[vcpu.rawValue].pages)
    if !result.isSuccess { return refused(result) }
    insertMapping(Mapping(gfn: first, pfn: pfn, pages: 1), vcpu: vcpu)
    lockedPages.add()
    return .success
  }

  /// EL2 refused to share or donate.
  @inline(never)
  private mutating func refused(_ result: KernelResult) -> KernelResult {
    if configuration.era.warnsOfFailedShare { warnings.record(.shareFailed) }
    return result
  }
}

extension KernelWarning {
  /// EL2 refused to share or donate.
  public static var shareFailed: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_map", "__pkvm_host_share_guest or __pkvm_host_donate_guest failed")
  }
  /// A map of a size that pKVM does not know.
  public static var mapSize: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_map", "the size is neither PAGE_SIZE nor PMD_SIZE")
  }
  /// A map of more or less than a page for a protected guest.
  public static var mapProtectedSize: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_map", "a protected guest maps pages only")
  }
  /// A map with less than all rights for a protected guest.
  public static var mapProtectedProt: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_map", "a protected guest maps with all rights only")
  }
}
