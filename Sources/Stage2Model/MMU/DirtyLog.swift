public import KVMTypes

/// Dirty logging: leaves lose the right to write, so that the first write of each page faults.
extension KVM where Backend: ~Copyable {
  /// Dirty logging is switched on for a slot (`kvm_arch_commit_memory_region`): all of it is write-protected
  /// and, where eager splitting is configured, split.
  ///
  /// - Parameter initiallySet: `KVM_DIRTY_LOG_INITIALLY_SET`: then nothing happens here, and clearing the
  ///   bitmap protects and splits bit by bit.
  /// - Returns: -EPERM for a protected guest, -ENOENT for a slot that does not exist.
  @inlinable
  public mutating func enableDirtyLog(slot id: UInt32, initiallySet: Bool = false) -> KernelResult {
    guard var slot = slots.slot(id: id) else { return .noEntry }
    if profile.isProtected { return .notPermitted }
    slot.flags.insert(.logDirtyPages)
    slots.set(slot)
    if initiallySet { return .success }
    kvmMMUWPMemoryRegion(slot)
    kvmMMUSplitMemoryRegion(slot)
    return .success
  }

  /// Dirty logging is switched off: what protects pages stays, and goes with the next write fault of each; the
  /// split cache is freed.
  @inlinable
  public mutating func disableDirtyLog(slot id: UInt32) -> KernelResult {
    guard var slot = slots.slot(id: id) else { return .noEntry }
    slot.flags.remove(.logDirtyPages)
    slots.set(slot)
    stage2.freeSplitCache()
    return .success
  }

  /// `kvm_mmu_wp_memory_region`: write-protects a slot chunk by chunk, then invalidates the TLBs without the
  /// lock.
  @inlinable
  mutating func kvmMMUWPMemoryRegion(_ slot: Memslot) {
    let start = slot.baseGFN.ipa(pageSize)
    let end = slot.endGFN.ipa(pageSize)
    lock(.wpMemoryRegion)
    stage2WPRange(start.rawValue, end.rawValue)
    unlock()
    stage2.flushRemoteTLBs(start, size: end.rawValue - start.rawValue)
  }

  /// `kvm_get_dirty_log_protect` and `kvm_clear_dirty_log_protect`: for each word of the bitmap that has a bit
  /// set, the frames from its first to its last bit are write-protected, clean ones in between included. The
  /// lock is held around all words; the TLBs are invalidated once, after it.
  ///
  /// - Parameters:
  ///   - first: the frame of the slot, from its base, that bit 0 of the first word stands for: a multiple of 64.
  ///   - masks: the words.
  ///   - initiallySet: `KVM_DIRTY_LOG_INITIALLY_SET`: blocks are split on the way.
  @inlinable
  public mutating func clearDirtyLog(
    slot: Memslot, first: UInt64, masks: [UInt64], initiallySet: Bool = false
  ) {
    var flush = false
    lock(.dirtyLogMasks)
    for (index, mask) in masks.enumerated() where mask != 0 {
      flush = true
      kvmArchMMUEnableLogDirtyPTMasked(
        slot, offset: first + UInt64(index) * 64, mask: mask, initiallySet: initiallySet)
    }
    unlock()
    if flush {
      stage2.flushRemoteTLBs(slot.baseGFN.ipa(pageSize), size: slot.pages << pageShift)
    }
  }

  /// `kvm_arch_mmu_enable_log_dirty_pt_masked`, under the write lock.
  @inlinable
  mutating func kvmArchMMUEnableLogDirtyPTMasked(
    _ slot: Memslot, offset: UInt64, mask: UInt64, initiallySet: Bool
  ) {
    let base = slot.baseGFN + offset
    let start = (base + UInt64(mask.trailingZeroBitCount)).ipa(pageSize).rawValue
    let end = (base + UInt64(64 - mask.leadingZeroBitCount)).ipa(pageSize).rawValue
    stage2WPRange(start, end)
    if initiallySet { _ = kvmMMUSplitHugePages(start, end) }
  }
}
