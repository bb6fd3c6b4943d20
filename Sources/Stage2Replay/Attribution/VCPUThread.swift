internal import KVMTypes

/// A thread that runs a vCPU, and where in its loop of entry, guest, exit and fault it is.
struct VCPUThread {
  let tid: ThreadID
  /// The VM it runs, by the position in the replay's list; nil until that is known.
  var vm: Int?
  /// Its vCPU's number in that VM, in the order of appearance.
  var vcpu = 0
  /// The sequence number of its last kvm_entry, 0 before the first.
  var lastEntry: UInt64 = 0
  /// How often it entered: the number of the window that is open.
  var windows: UInt32 = 0
  /// Whether its last event was a kvm_userspace_exit: it is not in KVM_RUN.
  var isInUserspace = false
  /// The fault whose window is open.
  var openFault: OpenFault?
}

/// A fault between its event and the vCPU's next entry. What KVM did about it happens at the end of this window.
struct OpenFault {
  var record: FaultRecord
  /// Whether the thread itself unmapped memory of a slot meanwhile, as a copy-on-write does.
  var unmappedSlot = false
  /// The position of the fault in its region's timeline.
  var node: TimelineNode.Index
}
