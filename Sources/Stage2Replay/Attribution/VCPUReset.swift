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
