public import KVMTypes

extension KVM where Backend: ~Copyable {
  /// `kvm_arch_vcpu_ioctl_vcpu_init` (KVM_ARM_VCPU_INIT), as far as stage 2 goes: a guest that starts anew has its caches off and
  /// must not find stale lines, so it has to fault its memory in again. With FEAT_S2FWB all its accesses are cacheable,
  /// and nothing is unmapped.
  ///
  /// - Parameter hasRunOnce: `vcpu_has_run_once`: whether KVM_RUN was ever called for the vCPU.
  @inlinable
  public mutating func kvmArchVCPUIoctlVCPUInit(hasRunOnce: Bool) {
    if hasRunOnce, !profile.hasFWB { stage2UnmapVM() }
  }

  /// `stage2_unmap_vm`: a vCPU is initialised again on a machine without FEAT_S2FWB; all slots are unmapped, in the order of
  /// `kvm_for_each_memslot`.
  ///
  /// The kernel goes by the VMM's VMAs: it leaves out holes between them, which map nothing, and those of device
  /// memory (`VM_PFNMAP`), which stays mapped. Here every slot is one VMA of memory.
  @inlinable
  public mutating func stage2UnmapVM() {
    lock(.unmapVM)
    for index in slots.inIDOrder.indices {
      let slot = slots.inIDOrder[index]
      unmapStage2Range(
        slot.baseGFN.ipa(pageSize).rawValue, size: slot.pages << pageShift, mayBlock: true)
    }
    unlock()
  }
}
