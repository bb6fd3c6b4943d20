public import KVMTypes

/// Dirty logging: leaves lose the right to write, so that the first write of each page faults.
extension KVM where Backend: ~Copyable {
  /// Dirty logging is switched on for a slot (`kvm_arch_commit_memory_region`): all of it is write-protected
  /// and, where eager splitting is configured, split. Nothing happens where it is on.
  ///
  /// - Parameter initiallySet: `KVM_DIRTY_LOG_INITIALLY_SET`: then nothing happens here, and clearing the
  ///   bitmap protects and splits bit by bit.
  /// - Returns: -EPERM for a protected guest, -EINVAL for a slot that does not exist or is a guest_memfd's.
  @inlinable
  public mutating func enableDirtyLog(slot id: UInt32, initiallySet: Bool = false) -> KernelResult {
    guard var slot = slots.slot(id: id) else { return .invalid }
    slot.flags.insert(.logDirtyPages)
    return kvmSetMemoryRegion(slot, initiallySet: initiallySet)
  }

  /// Dirty logging is switched off: what protects pages stays, and goes with the next write fault of each; the
  /// split cache is freed. -EINVAL for a slot that does not exist.
  @inlinable
  public mutating func disableDirtyLog(slot id: UInt32) -> KernelResult {
    guard var slot = slots.slot(id: id) else { return .invalid }
    slot.flags.remove(.logDirtyPages)
    return kvmSetMemoryRegion(slot)
  }

  /// `kvm_mmu_wp_memory_region`: write-protects a slot chunk by chunk, then invalidates the TLBs without the
  /// lock.
  @inlinable
  public mutating func kvmMMUWPMemoryRegion(_ slot: Memslot) {
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
  ///   - first: the frame of the slot, from its base, that bit 0 of the first word stands for.
  ///   - masks: the words, with the bits that were set and are cleared.
  ///   - initiallySet: `KVM_DIRTY_LOG_INITIALLY_SET`: blocks are split on the way.
  /// - Returns: -ENOENT for a slot without a bitmap, -EINVAL for a `first` that is no multiple of 64 and for words
  ///   beyond the slot.
  @inlinable
  @discardableResult
  public mutating func clearDirtyLog(
    slot: Memslot, first: UInt64, masks: [UInt64], initiallySet: Bool = false
  ) -> KernelResult {
    if first & 63 != 0 { return .invalid }
    if !slot.flags.contains(.logDirtyPages) { return .noEntry }
    if first > slot.pages || UInt64(masks.count) > (slot.pages - first + 63) / 64 { return .invalid }
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
    return .success
  }

  /// `kvm_arch_mmu_enable_log_dirty_pt_masked`, under the write lock.
  @inlinable
  public mutating func kvmArchMMUEnableLogDirtyPTMasked(
    _ slot: Memslot, offset: UInt64, mask: UInt64, initiallySet: Bool
  ) {
    let base = slot.baseGFN + offset
    let start = (base + UInt64(mask.trailingZeroBitCount)).ipa(pageSize).rawValue
    let end = (base + UInt64(64 - mask.leadingZeroBitCount)).ipa(pageSize).rawValue
    stage2WPRange(start, end)
    if initiallySet { _ = kvmMMUSplitHugePages(start, end) }
  }
}
