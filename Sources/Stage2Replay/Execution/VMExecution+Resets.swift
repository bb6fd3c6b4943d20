internal import KVMTypes
internal import Stage2Model

// vCPUs that are initialised again.

extension VMExecution where Backend: ~Copyable {
  /// KVM_ARM_VCPU_INIT of each vCPU that has run. Which VMAs lie behind the slots is not known: each is taken to be one of
  /// memory.
  @inline(never)
  mutating func resetVCPUs(_ reset: VCPUReset, _ origin: StepOrigin) {
    if kvm.profile.hasFWB || kvm.profile.isProtected { return }
    kvm.slots = Memslots(changed: reset.slots.map { Stage2Model.Memslot($0, pageSize) })
    for _ in 0..<reset.vcpus {
      kvm.kvmArchVCPUIoctlVCPUInit(hasRunOnce: true)
      emitRangeCalls(basis: .assumed, origin)
    }
    for slot in reset.slots {
      let frames = FrameRange(start: slot.base, end: slot.end)
      checks.table.noteReset(frames, reset)
      remember(.vcpuInit, frames, origin)
    }
  }
}
