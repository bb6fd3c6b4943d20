internal import KVMTrace
internal import KVMTypes

/// KVM_ARM_VCPU_INIT of vCPUs that had run, all of a VM's one after the other, as a VMM does that resets its machine: what
/// `kvm_arch_vcpu_ioctl_vcpu_init` needs. No event tells of it; it is inferred.
struct VCPUReset {
  /// How many vCPUs had run.
  let vcpus: Int
  /// The slots at that time, in the order in which they were changed last.
  let slots: [Memslot]
  /// What the first fault afterwards shows to be unmapped: all below the entry of this level on the way to this page.
  let page: IPA
  let level: TranslationLevel

  /// No VM has more vCPUs (`KVM_MAX_VCPUS`).
  static let vcpusMax = 512
}

/// All vCPUs of a VM are outside KVM_RUN since some event: where in the trace, and where the thread was that made the VM's
/// slots, for it is the one that resets a machine.
struct VMStop: BitwiseCopyable {
  var sequence: Sequence
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  var place: ThreadPlace
}

/// What shows that a VM's vCPUs are initialised again.
struct VMResets {
  /// Where a vCPU left KVM_RUN last.
  var stop: VMStop?
  /// The VM's first fault.
  var firstFault: GuestFault?
  /// Those that were found.
  var found: [VMReset] = []
}
