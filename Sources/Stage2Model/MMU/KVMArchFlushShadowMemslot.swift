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
}
