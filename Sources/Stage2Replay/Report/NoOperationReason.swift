/// Why a fault led to no operation.
public enum NoOperationReason: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
  /// No slot holds the address: MMIO, or an abort injected into the guest.
  case noSlot
  /// The trace tells no slot of the VM: what became of the fault is not known.
  case unknownSlots
  /// A write to a slot that is read-only goes to the VMM.
  case readOnlySlot
  /// The thread unmapped the page inside the window, in a copy-on-write or a migration, so the retry check failed
  /// (`mmu_invalidate_retry`).
  case ownUnmap
  /// The same page faults again in a vCPU that entered the guest after this fault's window: it had to retry, or its memory
  /// had failed.
  case faultedAgain
  /// KVM_RUN failed.
  case failed
  /// KVM or the VMM gave the guest an exception in place of the page, as for a poisoned one.
  case gotException
  /// The fault is neither of translation nor of permission: KVM injects or fails.
  case otherFault
  /// The trace ends in the fault's window, or the part of it that is replayed: what became of the fault is not known.
  case cutOff

  /// Whether it says that what became of the fault is not known.
  public var isUnknown: Bool { self == .unknownSlots || self == .cutOff }

  /// Whether the fault got as far as `user_mem_abort` before it came to nothing.
  var isInUserMemAbort: Bool {
    switch self {
    case .ownUnmap, .faultedAgain, .failed, .gotException: true
    case .noSlot, .unknownSlots, .readOnlySlot, .otherFault, .cutOff: false
    }
  }

  /// The name in reports.
  public var name: String {
    switch self {
    case .noSlot: "noSlot"
    case .unknownSlots: "unknownSlots"
    case .readOnlySlot: "readOnlySlot"
    case .ownUnmap: "ownUnmap"
    case .faultedAgain: "faultedAgain"
    case .failed: "failed"
    case .gotException: "gotException"
    case .otherFault: "otherFault"
    case .cutOff: "cutOff"
    }
  }
}
