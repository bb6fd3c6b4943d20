public import KVMTypes

/// A VM that is being created (`kvm_arch_init_vm`).
@frozen
public struct VMCreation: Hashable, Sendable {
  /// The VM's `struct kvm`. The kernel uses the address again for another VM later.
  public var kvm: KernelAddress
  /// What userspace gave to `KVM_CREATE_VM`.
  public var type: VMType

  @inlinable
  init(kvm: KernelAddress, type: VMType) {
    self.kvm = kvm
    self.type = type
  }
}

/// The argument of `KVM_CREATE_VM` on arm64.
@frozen
public struct VMType: Hashable, Sendable {
  /// The bits.
  public var rawValue: UInt64

  /// The type `rawValue`.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// `KVM_VM_TYPE_ARM_PROTECTED`.
  @inlinable
  public var isProtected: Bool { rawValue & 1 << 31 != 0 }

  /// `KVM_VM_TYPE_ARM_IPA_SIZE`: the bits of an IPA that userspace asked for, 0 for the default.
  @inlinable
  public var ipaBits: Int { Int(rawValue & 0xff) }
}
