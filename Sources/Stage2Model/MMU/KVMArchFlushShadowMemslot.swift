public import KVMTypes

extension KVM where Backend: ~Copyable {
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
  ///
  /// The kernel goes by the VMM's VMAs: it leaves out holes between them, which map nothing, and those of device
  /// memory (`VM_PFNMAP`), which stays mapped. Here every slot is one VMA of memory.
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
