public import KVMTypes

extension KVM where Backend: ~Copyable {
  /// `stage2_flush_vm`: cleans what all slots map, under the write lock, in the order of `kvm_for_each_memslot`.
  @inlinable
  public mutating func stage2FlushVM() {
    lock(.flushVM)
    for index in slots.inIDOrder.indices {
      let slot = slots.inIDOrder[index]
      stage2FlushRange(slot.baseGFN.ipa(pageSize).rawValue, slot.endGFN.ipa(pageSize).rawValue)
    }
    unlock()
  }

  /// `kvm_set_way_flush`: the first set/way operation of a vCPU flushes, further ones only after its caches
  /// were switched (`HCR_EL2.TVM` is set meanwhile).
  ///
  /// - Parameter trapsVM: HCR_EL2.TVM of the vCPU; set afterwards.
  @inlinable
  public mutating func kvmSetWayFlush(trapsVM: inout Bool) {
    if trapsVM { return }
    stage2FlushVM()
    trapsVM = true
  }

  /// `kvm_toggle_cache`: a vCPU switched its caches on or off; the trap ends when they are on.
  @inlinable
  public mutating func kvmToggleCache(was: Bool, now: Bool, trapsVM: inout Bool) {
    if now != was { stage2FlushVM() }
    if now { trapsVM = false }
  }
}
