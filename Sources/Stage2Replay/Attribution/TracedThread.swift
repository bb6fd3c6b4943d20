internal import KVMTrace
internal import KVMTypes

/// A thread that runs a vCPU or notifies of changes of memory, and where it is.
struct TracedThread {
  let tid: ThreadID
  /// The VM whose vCPU it runs, by the position in the replay's list; nil until that is known, and for threads that
  /// run none.
  var vm: Int?
  /// Its vCPU's number in that VM, in the order of appearance.
  var vcpu = 0
  /// The sequence number of its last kvm_entry, 0 before the first.
  var lastEntry: UInt64 = 0
  /// Whether its last event was a kvm_userspace_exit: it is not in KVM_RUN.
  var isInUserspace = false
  /// The fault whose window is open.
  var openFault: OpenFault?
  /// The last fault whose window has ended, if the thread's next fault can tell something about it.
  var lastFault: LastFault?
  /// Where it is in its own stream of events.
  var place = ThreadPlace(windows: 0, notifiers: 0)
  /// Its notifications that may still be under way: KVM has not heard of their end, which leaves no event. They nest
  /// two or three deep.
  var unfinishedUnmaps: [UnfinishedUnmap] = []
  /// The place of its last notification in the merged trace, until the thread does anything but wait for a VM's lock.
  var lastNotification: UInt64 = 0
  /// When that began to wait for the lock.
  var notificationWait: UInt64 = 0
  /// The probed function that it is in, and the VM's lock that it waits for.
  var call: ProbedCall?
  var wait: ProbedWait?
  /// Its last wait, while it is one of the longest and what it was for is not known.
  var finishedWait: FinishedWait?
  /// When it began to wait for the lock that it has now.
  var waitedSince: Nanoseconds?
  /// Its last notification, and how often in a row it came.
  var run: NotifierRun?
  /// The place of its last event of any kind that the replay takes in.
  var lastEvent: UInt64 = 0
  /// Where it is in the loop of KVM_RUN, and the epochs of the loss log at its last event and its last kvm_entry.
  var order = ThreadOrder()
  var epoch: Int32 = 0
  var entryEpoch: Int32 = 0
  /// The epoch in which its last fault's window began.
  var lastFaultEpoch: Int32 = -1
  /// Its kvm_exit events, and its accesses to devices, since the last VM went that it ran a vCPU of.
  var exits = 0
  var mmioExits = 0
  /// The processor on which the guest ran last, nil where events are missing.
  var ranOn: CPUIndex?
}

/// What a thread's next fault is compared with.
struct LastFault {
  /// The end of its window, which is its place in the queue.
  var sequence: UInt64
  var event: GuestFault
}

/// A fault between its event and the vCPU's next entry. What KVM did about it happens at the end of this window.
struct OpenFault {
  var record: FaultRecord
  var event: GuestFault
  /// The fault's node while it is in no timeline: its window lasted longer than the timelines reach back.
  var parkedNode: TimelineNode?
}

/// An unmap between `kvm_mmu_notifier_invalidate_range_start`, which is traced, and `..._end`, which is not.
struct UnfinishedUnmap: Hashable {
  var vm: Int
  /// What it covers, rounded to blocks.
  var range: HVARange
  static let nestingMax = 16
}

/// Identical notifications of one thread without anything of it in between.
struct NotifierRun {
  var kind: EventKind
  var range: HVARange
  var count: Int
  /// Whether it ages or tests a single page.
  var isPage: Bool
}
