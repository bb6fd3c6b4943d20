package import KVMTrace
package import KVMTypes

/// A place in the order of events, with room for new events between any two.
package typealias Position = Int

/// One thing that KVM did to a VM's table, and when: between the entry and the return of the function that did it.
package struct TableChange {
  package enum Kind {
    /// A leaf appears, in place of whatever overlaps it.
    case map(prot: Stage2Prot)
    /// The leaves that overlap the frames go, each as a whole.
    case unmap
    /// A leaf gets more rights.
    case relax(prot: Stage2Prot)
    /// A leaf's access flag is set.
    case makeYoung
    /// The access flags of leaves are cleared.
    case makeOld
    /// Leaves lose the right to write.
    case writeProtect
  }

  package var kind: Kind
  /// The frames that the call names.
  package var frames: Range<UInt64>
  package var tid: ThreadID
  package var cpu: CPUIndex
  /// The change took effect at some moment between these two.
  package var from: Position
  package var to: Position
}

/// A fault that a vCPU took.
package struct ObservedFault {
  package var vm: Int
  package var tid: ThreadID
  package var cpu: CPUIndex
  package var fault: GuestFault
  /// The thread's last kvm_entry, and the kvm_exit by which the fault was taken: the walk came in between.
  package var entry: Position
  package var trap: Position
  package var event: Position
  /// The thread's next kvm_entry or kvm_userspace_exit; what KVM did about the fault, it did before.
  package var end: Position
  /// Whether the VM's memory was unmapped by the thread itself between the fault and its end.
  package var hasOwnUnmap = false
  /// Whether KVM said that it was a device access, or an access flag fault, or that KVM_RUN failed.
  package var hasMMIO = false
  package var hasAccessFaultEvent = false
  package var hasFailed = false
  /// What KVM did about it: positions in the VM's changes.
  package var changes: [Int] = []

  /// Whether it should have led to a map or to more rights, and did not.
  package var isRetried: Bool {
    changes.isEmpty && !hasMMIO && !hasFailed
      && (fault.esr.faultKind == .translation || fault.esr.faultKind == .permission)
  }
}

/// An unmap that the MMU notifier announced: from its event to where its thread certainly does something else.
package struct ObservedUnmap {
  package var tid: ThreadID
  package var event: Position
  package var end: Position
  /// The thread's next event that it cannot make inside an unmap.
  package var limit: Position = .max
  /// The VM whose memory it hits.
  package var vm = -1

  /// Whether it may have been under way when the fault's outcome was decided.
  func canRetry(_ fault: ObservedFault) -> Bool { vm == fault.vm && event <= fault.end && end >= fault.event }
}
