internal import KVMTrace
internal import KVMTypes

/// A thread that runs a vCPU or notifies of changes of memory, and where it is.
struct TracedThread {
  let tid: ThreadID
  /// Where it is in its own stream of events.
  var place = ThreadPlace(windows: 0, notifiers: 0)
  /// Whether it is a guess alone which VM's vCPU it runs: it may be that of one that appeared where events are missing.
  var mayBeOfOtherVM = false
  /// The epoch of its first kvm_entry since the last VM went that it ran a vCPU of; nil before that.
  var firstEntryEpoch: Epoch?
  /// Whether a VM has gone that it ran a vCPU of.
  var sawEndOfVM = false
  /// Its part as the thread of a vCPU.
  var vcpu = VCPUThread()
  /// Its part as one that notifies of changes of memory.
  var notifier = NotifierThread()
  /// The place of its last event of any kind that the replay takes in, and the epoch then.
  var lastEvent = Sequence.start
  var epoch = Epoch(0)
  /// Where it is in the loop of KVM_RUN.
  var order = ThreadOrder()
  /// Where it went on when its vCPU entered with all vCPUs of its VM outside KVM_RUN, if that was elsewhere than where it had left: until
  /// its next fault or exit shows whether the VMM had initialised it again.
  var jump: GuestVA?
  /// Whether its vCPU runs on the VM's own stage 2.
  var nesting = NestingContext()
}

/// A thread as that of a vCPU.
struct VCPUThread {
  /// The VM whose vCPU it runs; nil until that is known, and for threads that run none.
  var vm: VMIndex?
  /// Its vCPU's number in that VM, in the order of appearance.
  var index = 0
  /// Its last kvm_entry, and the epoch then.
  var lastEntry = Sequence.start
  var entryEpoch = Epoch(0)
  /// Where it is as to KVM_RUN.
  var run = RunState.inside
  /// The fault whose window is open.
  var openFault: FaultID?
  /// When that fault came, if somebody looks at faults one by one.
  var faultTime = Nanoseconds(0)
  /// Its position among the open faults.
  var openPosition: Int32 = 0
  /// The end of its last fault's window, where that is the return to the VMM: the next kvm_entry tells whether the VMM gave the
  /// guest an exception.
  var faultBeforeExit: Sequence?
  /// The last fault whose window has ended, if the thread's next fault can tell something about it.
  var lastFault: LastFault?
  /// Whether its last fault had to retry, as the one that is being taken in shows.
  var hasRetried = false
  /// What is counted since the last VM went that it ran a vCPU of.
  var counts = VCPUCounts()
  /// The processor on which the guest ran last, nil where events are missing.
  var ranOn: CPUIndex?
}

extension VCPUThread {
  /// Whether the last that was seen of KVM_RUN is its end (kvm_userspace_exit).
  var isInUserspace: Bool {
    @inline(__always) get { run != .inside }
  }

  /// Where a vCPU's thread is as to KVM_RUN.
  enum RunState: UInt8 {
    case inside
    /// It has returned to the VMM.
    case outside
    /// It was called again and has completed a read that the VMM has answered (`kvm_handle_mmio_return`): either the vCPU
    /// enters the guest now, or KVM_RUN returns at once.
    case completing
  }
}

/// A thread as one that changes host memory.
struct NotifierThread {
  /// Its notifications that may still be under way: KVM has not heard of their end, which leaves no event. They nest
  /// two or three deep.
  var unfinishedUnmaps: [UnfinishedUnmap] = []
  /// Whether it unmaps memory in no known slot.
  var unmapsUnknown = false
  /// Its last notification, until the thread does anything but wait for a VM's lock.
  var last: Sequence?
  /// When that began to wait for the lock.
  var waitsSince = Sequence.start
  /// Its last notification, and how often in a row it came.
  var run: NotifierRun?
  /// The frames of guest_memfd that a probe named since its last notification.
  var named: Set<NamedFrames> = []
  /// Whether it is open whose memory its last notification is about, and a probe is to name the VM.
  var awaitsName = false
  /// Whether its last unmap was of memory that it had aged right before: `shrink_folio_list` asks of each folio whether it was
  /// used (`folio_check_references`) and unmaps it if not, one after the other. A copy-on-write and a migration do not ask.
  var isReclaiming = false
}

/// What a thread's next fault is compared with.
struct LastFault {
  var begin: Sequence
  /// The end of its window, which is its place in the queue.
  var end: Sequence
  var event: GuestFault
  /// The epoch of the kvm_entry before it.
  var epoch: Epoch
}

extension VCPUThread {
  /// The place behind which a fault of the thread may have begun that was not seen: the first behind its last kvm_entry from where
  /// on events are missing. If that entry is itself where some are, or unknown, the entry.
  func unseenSince(_ breaks: EvidenceBreaks) -> Sequence {
    guard lastEntry > .start, !entryEpoch.isInGap else { return lastEntry }
    let first = breaks.first(after: lastEntry)
    return first == .pending ? lastEntry : first
  }
}

/// What is counted of a vCPU: kvm_exit events, and accesses to devices.
struct VCPUCounts {
  var exits = 0
  var mmioExits = 0
}

/// An unmap between `kvm_mmu_notifier_invalidate_range_start`, which is traced, and `..._end`, which is not.
struct UnfinishedUnmap: Hashable {
  var vm: VMIndex
  /// What it covers, rounded to blocks.
  var range: HVARange
  static let nestingMax = 16
}

/// An unmap of memory in no known slot.
struct UnknownUnmap {
  var thread: ThreadIndex
  var range: HVARange
  var since: Sequence
  /// So many of a VM are kept: of more the first are over.
  static let most = 16
}

/// Identical notifications of one thread without anything of it in between.
struct NotifierRun {
  var kind: EventKind
  var range: HVARange
  var count: Int
  /// Whether it is of a single page, and of a kind that comes once for each VM of an address space.
  var isPage: Bool
  /// Whether a probe named the VM of one of them.
  var isNamed = false
}

/// Frames of a slot that `kvm_unmap_gfn_range` is called for.
struct NamedFrames: Hashable {
  var vm: VMIndex
  var frames: FrameRange
}
