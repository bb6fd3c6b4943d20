public import KVMTypes

extension KVM where Backend: ~Copyable {
  /// `user_mem_abort`: the VMM's memory behind the faulting page is mapped, or rights are added to what is.
  ///
  /// Outside the lock: the memory cache is topped up, the size chosen, the page found. Under
  /// `kvm_fault_lock`: the fault retries if the VMM's memory changed since `seq` was sampled; otherwise the size
  /// is settled (a transparent huge page makes a block) and the backend called: a permission fault of a leaf
  /// that has just that size relaxes it, everything else maps.
  ///
  /// - Parameters:
  ///   - slot: the memslot of the faulting page.
  ///   - faultIn: what the host found behind it.
  ///   - seq: `invalidateSeq` as it was before the page was looked up.
  /// - Returns: 0 or a negative errno; -ENOEXEC (the guest gets an external abort) for a fetch from memory that
  ///   is not cacheable; -EFAULT without a page.
  @inlinable
  public mutating func userMemAbort(
    _ fault: Stage2Fault, slot: Memslot, vcpu: VCPUIndex, faultIn: FaultIn, seq: UInt64
  ) -> FaultOutcome {
    hasRun = true
    if faultTopsUp(fault, slot) { stage2.topUpMemcache(vcpu: vcpu, pages: geometry.minPages) }
    let host: HostPage
    switch faultIn {
    case .page(let page): host = page
    case .hwPoison: return .ended(.success)
    case .failed: return .ended(.badAddress)
    }
    let faultGFN = fault.ipa.gfn(pageSize)
    let hva = slot.hva(of: faultGFN, pageSize)
    let size = resolveVMASize(slot, hva, vmaShift: host.vmaShift)
    guard let prot = faultProt(fault, slot, host) else { return .ended(.noExec) }
    lock(.userMemAbort)
    let outcome = faultMap(fault, slot: slot, vcpu: vcpu, hva: hva, host, size, prot, seq: seq)
    unlock()
    return outcome
  }

  /// When a fault tops up the vCPU's memory cache: a permission fault usually needs no table. It may have to
  /// break a block while dirty pages are logged; and under pKVM it may need a mapping object to change the
  /// size of a mapping, which kernels before 7.3 overlooked.
  @inlinable
  func faultTopsUp(_ fault: Stage2Fault, _ slot: Memslot) -> Bool {
    if fault.kind != .permission { return true }
    if profile.isPKVM && profile.era.topsUpOnEveryFault { return true }
    return slot.isLogging && (fault.isWrite || profile.era >= .v7_3)
  }

  /// The rights of a fault's mapping (`kvm_s2_fault_compute_prot`), nil for -ENOEXEC.
  ///
  /// Reading always. Writing where the host's page may be written, unless dirty pages are logged and this is
  /// no write. Execution for a fetch, and with CTR_EL0.DIC for all cacheable memory.
  @inlinable
  public func faultProt(_ fault: Stage2Fault, _ slot: Memslot, _ host: HostPage) -> Stage2Prot? {
    var prot = Stage2Prot.read
    if host.isWritable && (host.memory != .normal || !slot.isLogging || fault.isWrite) {
      prot.insert(.write)
    }
    switch host.memory {
    case .normal:
      if fault.isExec || profile.hasDIC { prot.formUnion(.execute) }
    case .device:
      if fault.isExec { return nil }
      prot.insert(.device)
    case .nonCacheable:
      if fault.isExec { return nil }
      prot.insert(.normalNonCacheable)
    }
    return prot
  }

  /// The stage under the lock (`kvm_s2_fault_map`).
  @inlinable
  mutating func faultMap(
    _ fault: Stage2Fault, slot: Memslot, vcpu: VCPUIndex, hva: HVA, _ host: HostPage,
    _ vmaSize: FaultMappingSize, _ prot: Stage2Prot, seq: UInt64
  ) -> FaultOutcome {
    if mmuInvalidateRetry(seq) { return .ended(.again) }
    let granule = fault.permissionGranule(pageSize)
    var size = vmaSize.bytes
    if size == pageSize.bytes && vmaSize.mayGrow && host.memory == .normal {
      if let granule, granule > pageSize.bytes {
        // The leaf is a block already: relax all of it.
        size = granule
      } else if let adjusted = transparentHugepageAdjust(slot, hva, host) {
        size = adjusted
      } else {
        return .ended(.again)
      }
    }
    if granule == size {
      // The address is aligned to what the VMA suggested, not to the block that is relaxed.
      let ipa = faultAddress(fault.ipa, vmaSize.bytes)
      let result = stage2.relaxPerms(ipa, prot: prot)
      return FaultOutcome(
        .relaxPerms(ipa, prot: prot), result, dirty: dirtied(ipa, size, prot, result))
    }
    let ipa = faultAddress(fault.ipa, size)
    // The page that GUP found lies somewhere in the block; the block begins below it.
    let pfn = host.pfn.map { PFN($0.rawValue & ~(size >> pageSize.shift - 1)) }
    let result = stage2.map(ipa, size: size, pfn: pfn, prot: prot, vcpu: vcpu)
    return FaultOutcome(
      .map(ipa, size: size, prot: prot), result, dirty: dirtied(ipa, size, prot, result))
  }

  /// The frame that is marked dirty: the first of a mapping that became writable.
  @inlinable
  func dirtied(_ ipa: IPA, _ size: UInt64, _ prot: Stage2Prot, _ result: KernelResult) -> GFN? {
    guard prot.contains(.write), result.isSuccess else { return nil }
    return ipa.alignedDown(to: size).gfn(pageSize)
  }

  /// The address that reaches the backend. Kernels before 7.0 passed HPFAR's, which has bits below a page of
  /// 16 KiB or 64 KiB; only a block was aligned.
  @inlinable
  func faultAddress(_ ipa: IPA, _ size: UInt64) -> IPA {
    if size == pageSize.bytes && !profile.era.alignsFaultIPA { return ipa }
    return ipa.alignedDown(to: size)
  }

  /// `transparent_hugepage_adjust`: the size of the mapping that the VMM's own page table and the memslot
  /// allow: a page or a PMD, nil where the VMM's entry is gone (-EAGAIN). Only a huge leaf counts; a large folio
  /// that is mapped by pages does not.
  @inlinable
  public func transparentHugepageAdjust(_ slot: Memslot, _ hva: HVA, _ host: HostPage) -> UInt64? {
    guard faultSupportsStage2HugeMapping(slot, hva, mapBytes: pageSize.pmdBytes) else {
      return pageSize.bytes
    }
    guard let user = host.userMappingBytes else { return nil }
    return user >= pageSize.pmdBytes ? pageSize.pmdBytes : pageSize.bytes
  }
}
