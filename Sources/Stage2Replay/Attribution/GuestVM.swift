internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// One VM of the trace: its slots, its vCPUs and the model of its stage 2.
///
/// A class, because its model cannot be copied and VMs come and go; the hot path touches one VM's properties a
/// handful of times for each event.
final class GuestVM<Backend: ReplayedBackend & ~Copyable> {
  /// The VM's number in the report, from 0 in the order of appearance.
  let id: Int
  /// The address of its `struct kvm`, nil where no probe told it.
  var kvm: KernelAddress?
  /// The thread that made the first commit of a slot, which belongs to the VMM.
  var creator: ThreadID?
  let since: Nanoseconds
  /// Whether it is a protected guest: its pages are pinned and donated to it, and stay whatever the host unmaps.
  let isProtected: Bool
  /// Whether it had slots before the trace began: not all of them are known.
  let wasRunning: Bool
  /// The threads that run its vCPUs, where a history of slots names them.
  var tids: Set<ThreadID>?
  var slots: MemslotTable
  /// The least certain basis of its slots: no operation is more certain than the slots it was predicted with.
  var slotBasis = Basis.recorded
  /// Whether it had a slot whose host address is not known: which notifiers hit it is not known either.
  var hasUnplacedSlots = false
  /// What speaks for slots that were inferred.
  var slotEvidence: [Memslot: SlotEvidence] = [:]
  var backend: Backend
  /// Whether another VM has taken its place: no event concerns it any more.
  var isGone: Bool { end != nil }
  /// When that was, and how it is known.
  var end: VMEnd?
  /// Whether faults on addresses in no slot came since the last slot was created or moved.
  var hasFaultsWithoutSlot = false
  /// Unmaps of its memory that may still be under way.
  var unfinishedUnmaps = 0
  /// The pages of slots that log on which a write was granted last, and to whom.
  var writeGrants: [GFN: WriteGrant] = [:]
  /// The last event of one of its threads.
  var lastActivity: UInt64 = 0
  /// When one of its vCPUs ran last.
  var lastSeen = Nanoseconds(0)
  /// The pages of the largest slot so far that the guest can write to.
  var largestSlot: UInt64 = 0
  /// The last event that told of an unmap of its memory.
  var lastUnmapEvent: UInt64 = 0
  var vcpus: [ThreadID] = []
  /// Every slot that the VM ever had, in the order of appearance.
  var slotHistory: [Memslot] = []
  var slotsSeen: Set<Memslot> = []
  var hostMappings: HostMappings
  /// What a notifier aged last, and whose it was.
  var lastAge: (frames: FrameRange, tid: ThreadID)?
  var tally = VMTally()
  var lockTimes: LockTimes
  /// Recorded sections under the lock, by thread, if they are kept.
  var sections: [ThreadID: [RecordedSection]] = [:]
  var memorySeries = MemorySeries()
  var workingSet: WorkingSet

  // What the divergence rules need. They are asked for with every fault, one after the other: the checks for accesses that
  // overlap would cost more than the accesses.

  /// The regions that faults have touched.
  @exclusivity(unchecked)
  var regions: GuestRegions
  /// The epoch of the loss log in which the VM appeared, and if its table was empty then, that epoch again: in it
  /// everything is known. Otherwise -1.
  let firstEpoch: Int32
  let knownFrom: Int32
  /// The epoch in which a fault is known to have operated: unmaps that began before the epoch, of which no event tells,
  /// were over by then.
  var settledEpoch: Int32 = -1
  /// The lowest level at which a walk of its table stops.
  var startLevel = TranslationLevel.l3
  /// Where in the merged trace the last unmap of any of its memory was over.
  @exclusivity(unchecked)
  var lastUnmap: UInt64 = 0
  /// Where tables of levels 1 and 2 appeared.
  var tableBirths: [FrameKey: UInt64] = [:]
  /// The epoch in which a fault showed that nothing was mapped below a table of levels 1 and 2.
  var emptySpans: [FrameKey: Int32] = [:]
  /// Tables that hold something that no fault has mapped.
  var untracedTables: Set<FrameKey> = []
  /// Rights that relax_perms added, by leaf.
  var grants: [FrameKey: RightGrant] = [:]
  /// Removals of slots that have been committed and not applied.
  var removals: [SlotRemoval] = []
  /// Faults with kvm_mmio in slots.
  @exclusivity(unchecked)
  var heldBack: [HeldBackFault] = []
  static var heldBackMax: Int { 16 }
  /// The last fault, if it came to nothing.
  @exclusivity(unchecked)
  var lastRefused: RefusedFault?
  /// By vCPU.
  @exclusivity(unchecked)
  var progress: [VCPUProgress] = []

  /// - Parameter epoch: that of the loss log.
  init(
    id: Int, kvm: KernelAddress?, creator: ThreadID?, since: Nanoseconds, wasRunning: Bool,
    pageSize: PageSize, isProtected: Bool, epoch: Int32, isKnown: Bool, longestTimes: Int,
    backend: consuming Backend
  ) {
    lockTimes = LockTimes(longest: longestTimes)
    regions = GuestRegions(pageSize: pageSize)
    firstEpoch = epoch
    knownFrom = isKnown ? epoch : -1
    self.id = id
    self.isProtected = isProtected
    self.kvm = kvm
    self.creator = creator
    self.since = since
    self.wasRunning = wasRunning
    slots = MemslotTable(pageSize: pageSize)
    self.backend = backend
    hostMappings = HostMappings(pageSize: pageSize)
    workingSet = WorkingSet(pageSize: pageSize)
  }

  /// One of its vCPUs ran.
  func noteActivity(_ sequence: UInt64, at time: Nanoseconds) {
    lastActivity = sequence
    lastSeen = time
  }
}

/// Who was granted the right to write to a page, and where in the merged trace.
struct WriteGrant {
  var tid: ThreadID
  var sequence: UInt64
}

/// What is counted for one VM.
struct VMTally {
  var faults = FaultCounts()
  /// Under another kernel than the one that was traced: the recorded faults that are accesses to memory, and the faults
  /// that these accesses take there.
  var accesses = 0
  var modelledFaults = 0
  var operations: [OperationCounts] = Array(repeating: OperationCounts(), count: OperationKind.allCases.count)
  /// What the operations cost, by kind, if that is counted.
  var work: [Stage2Work] = Array(repeating: Stage2Work(), count: OperationKind.allCases.count)
  /// By the first frame of the slot.
  var sizes: [GFN: SizeTally] = [:]
  /// Whether slots are taken to be of hugetlb pages, for those of which that was asked.
  var hugetlb: [Memslot: Bool] = [:]
  var nothing: [Int] = Array(repeating: 0, count: FaultOutcome.Reason.allCases.count)
  /// What else than operations rests on assumptions.
  var doubts = ReplayDoubts()
}

/// The faults of a VM, by kind and level.
public struct FaultCounts: Hashable, Sendable {
  /// All faults.
  public var total = 0
  /// Faults on what is not mapped.
  public var translation = 0
  /// Faults for want of a right.
  public var permission = 0
  /// Access flag faults.
  public var accessFlag = 0
  /// Faults that turned out to be device accesses of the guest; they are among the translation faults, too.
  public var mmio = 0
  /// Faults of any other status.
  public var other = 0
  /// Faults by the level at which the walk stopped, -1 to 3.
  public var byLevel: [Int] = Array(repeating: 0, count: 5)

  /// No faults.
  public init() {}
}

/// How often one kind of operation was performed on a VM's table, and how that is known.
public struct OperationCounts: Hashable, Sendable {
  /// All calls.
  public var count = 0
  /// Calls that returned -EAGAIN.
  public var again = 0
  /// Calls that returned another error.
  public var errors = 0
  /// The host's pages that the calls covered.
  public var pages: UInt64 = 0
  /// Calls by basis.
  public var derived = 0
  /// Calls that the trace allows but does not force.
  public var assumed = 0
}
