internal import KVMTrace
internal import KVMTypes

/// Whether a fault led to an operation on the table at all.
enum FaultOutcome: Hashable {
  /// An access flag fault: mkyoung, always.
  case mkyoung
  /// A map or a relaxation of rights was performed, or at least tried.
  case performed(Basis)
  /// Nothing was performed.
  case nothing(Reason)

  enum Reason: UInt8, Hashable, CaseIterable {
    /// No slot holds the address: MMIO, or an abort injected into the guest.
    case noSlot
    /// The trace tells no slot of the VM: what became of the fault is not known.
    case unknownSlots
    /// A write to a slot that is read-only goes to the VMM.
    case readOnlySlot
    /// The thread unmapped memory of the VM inside the window, so the retry check failed (`mmu_invalidate_retry`).
    case ownUnmap
    /// The same page faults again in a vCPU that entered the guest after this fault's window.
    case faultedAgain
    /// KVM_RUN failed.
    case failed
    /// The fault is neither of translation nor of permission: KVM injects or fails.
    case otherFault

    /// Whether the fault got as far as `user_mem_abort` before it came to nothing.
    var isInUserMemAbort: Bool { self == .ownUnmap || self == .faultedAgain || self == .failed }
  }
}
