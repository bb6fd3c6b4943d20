public import KVMTypes

/// Memslots that come, go and change (`kvm_set_memory_region`). No tracepoint shows them.
extension KVM where Backend: ~Copyable {
  /// A slot is created (`kvm_arch_prepare_memory_region`): stage 2 stays as it is, faults fill it.
  ///
  /// - Returns: -EFAULT beyond the IPA space; -EPERM for logging or read-only slots of a protected guest;
  ///   -EINVAL (the kernel's -EEXIST) where it overlaps another slot.
  @inlinable
  public mutating func createMemslot(_ slot: Memslot) -> KernelResult {
    if slot.endGFN.rawValue > geometry.ipaLimit >> pageShift { return .badAddress }
    if profile.isProtected, !slot.flags.isDisjoint(with: [.logDirtyPages, .readonly]) {
      return .notPermitted
    }
    return slots.set(slot) ? .success : .invalid
  }

  /// A slot is deleted: what it maps is unmapped. -EPERM for a protected guest that ran, -ENOENT for no slot.
  @inlinable
  public mutating func deleteMemslot(_ id: UInt32) -> KernelResult {
    guard let slot = slots.slot(id: id) else { return .noEntry }
    if profile.isProtected && hasRun { return .notPermitted }
    kvmArchFlushShadowMemslot(slot)
    slots.remove(id: id)
    stage2.freeSplitCache()
    return .success
  }

  /// A slot moves to other guest frames: what the old place maps is unmapped. Results as for `deleteMemslot`
  /// and `createMemslot`.
  @inlinable
  public mutating func moveMemslot(_ id: UInt32, to gfn: GFN) -> KernelResult {
    guard let slot = slots.slot(id: id) else { return .noEntry }
    if profile.isProtected && hasRun { return .notPermitted }
    var moved = slot
    moved.baseGFN = gfn
    if moved.endGFN.rawValue > geometry.ipaLimit >> pageShift { return .badAddress }
    if !slots.set(moved) { return .invalid }
    kvmArchFlushShadowMemslot(slot)
    return .success
  }

  /// `kvm_arch_flush_shadow_memslot`: unmaps a slot under the write lock, chunk by chunk. For a protected guest
  /// the lock is taken and nothing done.
  @inlinable
  public mutating func kvmArchFlushShadowMemslot(_ slot: Memslot) {
    lock(.flushShadowMemslot)
    unmapStage2Range(
      slot.baseGFN.ipa(pageSize).rawValue, size: slot.pages << pageShift, mayBlock: true)
    unlock()
  }

  /// `stage2_unmap_vm`: a vCPU is initialised again on a machine without FEAT_S2FWB; all slots are unmapped.
  @inlinable
  public mutating func stage2UnmapVM() {
    lock(.unmapVM)
    for index in slots.slots.indices {
      let slot = slots.slots[index]
      unmapStage2Range(
        slot.baseGFN.ipa(pageSize).rawValue, size: slot.pages << pageShift, mayBlock: true)
    }
    unlock()
  }
}
