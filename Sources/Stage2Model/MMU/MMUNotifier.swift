public import KVMTypes

/// The MMU notifier of a VM (`kvm_mmu_notifier_ops`): the VMM's memory changes.
///
/// Addresses are the VMM's. They reach the guest's through every memslot that overlaps, in the order of host
/// addresses; where none does, no lock is taken and no counter changes.
extension KVM where Backend: ~Copyable {
  /// `kvm_mmu_notifier_invalidate_range_start`: unmaps what lies behind `[start, end)`; faults that sampled
  /// `invalidateSeq` retry from here on until the invalidation ended. Counters change for protected guests
  /// too, their memory stays mapped.
  ///
  /// - Parameter mayBlock: `mmu_notifier_range_blockable`: the lock may be dropped between chunks.
  /// - Returns: whether a memslot overlapped, so that `invalidateRangeEnd` takes the lock as well.
  @inlinable
  @discardableResult
  public mutating func mmuNotifierInvalidateRangeStart(
    _ start: HVA, _ end: HVA, mayBlock: Bool = true
  ) -> Bool {
    var isLocked = false
    for index in slots.inHVAOrder.indices {
      guard let frames = slots.inHVAOrder[index].frames(start, end, pageSize) else { continue }
      if !isLocked {
        isLocked = true
        lock(.invalidateRangeStart)
        invalidateInProgress += 1
      }
      kvmUnmapGFNRange(frames, mayBlock: mayBlock)
    }
    if isLocked { unlock() }
    return isLocked
  }

  /// `kvm_mmu_notifier_invalidate_range_end`: the VMM's memory has changed.
  @inlinable
  public mutating func mmuNotifierInvalidateRangeEnd(_ start: HVA, _ end: HVA) {
    guard slots.slots.contains(where: { $0.frames(start, end, pageSize) != nil }) else { return }
    lock(.invalidateRangeEnd)
    invalidateSeq += 1
    if invalidateInProgress == 0 {
      warnings.record(.invalidateNotInProgress)
    } else {
      invalidateInProgress -= 1
    }
    unlock()
  }

  /// `kvm_mmu_notifier_clear_flush_young`: like `mmuNotifierClearYoung`, and invalidates the TLBs, still
  /// under the lock, if something was young.
  @inlinable
  @discardableResult
  public mutating func mmuNotifierClearFlushYoung(_ start: HVA, _ end: HVA) -> Bool {
    age(start, end, markOld: true, flush: true)
  }

  /// `kvm_mmu_notifier_clear_young`: makes what lies behind `[start, end)` old and says whether it was young.
  /// TLBs keep what they have: an aged page may be touched without a fault for a while.
  @inlinable
  @discardableResult
  public mutating func mmuNotifierClearYoung(_ start: HVA, _ end: HVA) -> Bool {
    age(start, end, markOld: true, flush: false)
  }

  /// `kvm_mmu_notifier_test_young`: whether the page at `address` was touched.
  @inlinable
  @discardableResult
  public mutating func mmuNotifierTestYoung(_ address: HVA) -> Bool {
    age(address, address + 1, markOld: false, flush: false)
  }

  @inlinable
  mutating func age(_ start: HVA, _ end: HVA, markOld: Bool, flush: Bool) -> Bool {
    var isLocked = false
    var young = false
    for index in slots.inHVAOrder.indices {
      guard let frames = slots.inHVAOrder[index].frames(start, end, pageSize) else { continue }
      if !isLocked {
        isLocked = true
        lock(.age)
      }
      if markOld ? kvmAgeGFN(frames) : kvmTestAgeGFN(frames) { young = true }
    }
    if isLocked {
      if young && flush { stage2.flushRemoteTLBs() }
      unlock()
    }
    return young
  }

  /// `kvm_unmap_gfn_range`, under the write lock: unmaps frames in chunks. Nothing for a protected guest, whose
  /// memory the host cannot take.
  @inlinable
  public mutating func kvmUnmapGFNRange(_ frames: Range<GFN>, mayBlock: Bool) {
    guard hasPageTable else { return }
    let start = frames.lowerBound.ipa(pageSize).rawValue
    let end = frames.upperBound.ipa(pageSize).rawValue
    unmapStage2Range(start, size: end - start, mayBlock: mayBlock)
  }

  /// `kvm_age_gfn`, under the write lock: makes frames old in one go, without chunks, and says whether one was
  /// young. False for a protected guest.
  @inlinable
  public mutating func kvmAgeGFN(_ frames: Range<GFN>) -> Bool { testClearYoung(frames, markOld: true) }

  /// `kvm_test_age_gfn`: as `kvmAgeGFN`, without a change.
  @inlinable
  public mutating func kvmTestAgeGFN(_ frames: Range<GFN>) -> Bool { testClearYoung(frames, markOld: false) }

  @inlinable
  mutating func testClearYoung(_ frames: Range<GFN>, markOld: Bool) -> Bool {
    guard hasPageTable, !profile.isProtected else { return false }
    let size = (frames.upperBound - frames.lowerBound) << pageShift
    return stage2.testClearYoung(frames.lowerBound.ipa(pageSize), size: size, markOld: markOld)
  }
}

extension KernelWarning {
  /// The end of an invalidation that never began.
  public static var invalidateNotInProgress: KernelWarning {
    KernelWarning("kvm_mmu_notifier_invalidate_range_end", "mmu_invalidate_in_progress is negative")
  }
}
