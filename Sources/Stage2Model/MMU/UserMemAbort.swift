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
  ///   - isOvertaken: another CPU changes the entry between the walk of this fault and its write: the backend is not asked,
  ///     and -EAGAIN is its answer (`stage2_try_set_pte`, `stage2_try_break_pte`).
  /// - Returns: 0 or a negative errno; -ENOEXEC (the guest gets an external abort) for a fetch from memory that
  ///   is not cacheable; -EFAULT without a page; 1 for an exclusive or atomic access that the memory does not
  ///   support, with the abort injected that says so.
  @inlinable
  @inline(__always)
  public mutating func userMemAbort(
    _ fault: Stage2Fault, slot: Memslot, vcpu: VCPUIndex, faultIn: FaultIn, seq: UInt64,
    isOvertaken: Bool = false
  ) -> FaultOutcome {
    hasRun = true
    if rules.refuses(fault) { return .ended(.badAddress) }
    if rules.topsUp(fault, slot) { stage2.topUpMemcache(vcpu: vcpu, pages: geometry.minPages) }
    let host: HostPage
    switch faultIn {
    case .page(let page): host = page
    case .hwPoison: return .ended(.success)
    case .failed: return .ended(.badAddress)
    }
    if rules.mapsPage(fault, host) {
      return mapPage(fault, slot: slot, vcpu: vcpu, host, seq: seq, isOvertaken: isOvertaken)
    }
    return mapAny(fault, slot: slot, vcpu: vcpu, host, seq: seq, isOvertaken: isOvertaken)
  }

  /// The rest of `userMemAbort` where a page was found: any mapping, or rights for the one that is there.
  @inlinable
  @inline(never)
  mutating func mapAny(
    _ fault: Stage2Fault, slot: Memslot, vcpu: VCPUIndex, _ host: HostPage, seq: UInt64, isOvertaken: Bool
  ) -> FaultOutcome {
    let page = (fault.ipa.rawValue &>> pageShift - slot.baseGFN.rawValue) &<< pageShift
    let hva = slot.hva + page
    let size = rules.resolveVMASize(slot, hva, vmaShift: host.vmaShift)
    guard let prot = rules.prot(fault, slot, host) else { return .ended(.noExec) }
    if fault.kind == .exclusiveOrAtomic { return .ended(.runGuest) }
    lock(.userMemAbort)
    let outcome = faultMap(
      fault, slot: slot, vcpu: vcpu, hva: hva, host, size, prot, seq: seq, isOvertaken: isOvertaken)
    unlock()
    return outcome
  }

  /// The stage under the lock for a fault that `FaultRules.mapsPage`: the page is mapped, whatever the slot is.
  @inlinable
  @inline(__always)
  mutating func mapPage(
    _ fault: Stage2Fault, slot: Memslot, vcpu: VCPUIndex, _ host: HostPage, seq: UInt64, isOvertaken: Bool
  ) -> FaultOutcome {
    guard let prot = rules.prot(fault, slot, host) else { return .ended(.noExec) }
    lock(.userMemAbort)
    defer { unlock() }
    if mmuInvalidateRetry(seq) { return .ended(.again) }
    let ipa = rules.address(fault.ipa, size: pageBytes)
    let result =
      isOvertaken ? .again : stage2.map(ipa, size: pageBytes, pfn: host.pfn, prot: prot, vcpu: vcpu)
    return FaultOutcome(
      .map(ipa, size: pageBytes, prot: prot), result,
      dirty: Self.dirtied(ipa, pageBytes, prot, result, pageShift))
  }

  /// The stage under the lock (`kvm_s2_fault_map`).
  @inlinable
  @inline(__always)
  mutating func faultMap(
    _ fault: Stage2Fault, slot: Memslot, vcpu: VCPUIndex, hva: HVA, _ host: HostPage,
    _ vmaSize: FaultMappingSize, _ prot: Stage2Prot, seq: UInt64, isOvertaken: Bool
  ) -> FaultOutcome {
    if mmuInvalidateRetry(seq) { return .ended(.again) }
    let granule = fault.permissionGranule(pageShift)
    var size = vmaSize.bytes
    if rules.mayGrow(vmaSize, host) {
      if let granule, granule > pageBytes {
        // The leaf is a block already: relax all of it.
        size = granule
      } else if let adjusted = rules.transparentHugepageAdjust(slot, hva, host) {
        size = adjusted
      } else {
        return .ended(.again)
      }
    }
    if granule == size {
      // The address is aligned to what the VMA suggested, not to the block that is relaxed.
      let ipa = rules.address(fault.ipa, size: vmaSize.bytes)
      let result = isOvertaken ? .again : stage2.relaxPerms(ipa, prot: prot)
      return FaultOutcome(
        .relaxPerms(ipa, prot: prot), result, dirty: Self.dirtied(ipa, size, prot, result, pageShift))
    }
    let ipa = rules.address(fault.ipa, size: size)
    // The page that GUP found lies somewhere in the block; the block begins below it.
    let pfn = host.pfn.map { PFN($0.rawValue & ~(size &>> pageShift - 1)) }
    let result = isOvertaken ? .again : stage2.map(ipa, size: size, pfn: pfn, prot: prot, vcpu: vcpu)
    return FaultOutcome(
      .map(ipa, size: size, prot: prot), result, dirty: Self.dirtied(ipa, size, prot, result, pageShift))
  }

  /// The frame that is marked dirty: the first of a mapping that became writable.
  @inlinable
  @inline(__always)
  static func dirtied(
    _ ipa: IPA, _ size: UInt64, _ prot: Stage2Prot, _ result: KernelResult, _ pageShift: UInt64
  ) -> GFN? {
    guard prot.contains(.write), result.isSuccess else { return nil }
    return GFN(ipa.alignedDown(to: size).rawValue &>> pageShift)
  }
}
