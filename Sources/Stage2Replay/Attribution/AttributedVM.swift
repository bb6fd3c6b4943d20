internal import KVMTrace
internal import KVMTypes

/// One VM of the trace as events show it: who it is, its slots, what is under way in it. All of that is of event time; its
/// table is of execution time (`VMExecution`).
struct AttributedVM {
  /// The VM's number in the report.
  let id: VMIndex
  var identity: VMIdentity
  var slots: VMSlots
  /// The threads that run its vCPUs, in the order of appearance.
  var vcpus: [ThreadID] = []
  var activity = VMActivity()
  var unmaps = VMUnmaps()
  var faults = FaultCounts()
  /// Faults beyond all addresses: no slot can hold them.
  var unaddressableFaults = 0
  /// In this epoch everything is known of its table: the VM appeared in it, with nothing mapped. `never` for one that was
  /// running, or appeared in a gap.
  let knownFrom: Epoch

  /// Whether the VM is gone, or another one has taken its place: no event concerns it any more.
  var isGone: Bool { identity.end != nil }
}

/// When a VM was there, and what is known of it from the beginning.
struct VMIdentity {
  /// The threads that run its vCPUs, where a history of slots names them.
  let tids: Set<ThreadID>?
  let since: Nanoseconds
  /// Whether it had slots before the trace began: not all of them are known.
  let wasRunning: Bool
  /// Whether it is a protected guest: its pages are pinned and donated to it, and stay whatever the host unmaps.
  let isProtected: Bool
  /// The epoch in which it appeared.
  let firstEpoch: Epoch
  /// When it was gone, and how that is known.
  var end: VMEnd?
}

/// A VM's slots, and how they are known.
struct VMSlots {
  var table: MemslotTable
  /// The least certain basis of its slots: no operation is more certain than the slots it was predicted with.
  private(set) var basis = Basis.recorded
  /// Whether it had a slot whose host address is not known: which notifiers hit it is not known either.
  private(set) var hasUnplaced = false
  /// What speaks for slots that were inferred.
  var evidence: [Memslot: SlotEvidence] = [:]
  /// Whether faults on addresses in no slot came since the last slot was created or moved.
  var hasFaultsOutside = false
  /// Every slot that the VM ever had, in the order of appearance.
  private(set) var history: [Memslot] = []
  private var seen: Set<Memslot> = []

  init(pageSize: PageSize) { table = MemslotTable(pageSize: pageSize) }

  /// A slot comes into force.
  mutating func insert(_ slot: Memslot) {
    table.insert(slot)
    basis = max(basis, slot.basis)
    if slot.hva == nil { hasUnplaced = true }
    if seen.insert(slot).inserted { history.append(slot) }
  }
}

/// When a VM was last seen to do something.
struct VMActivity {
  /// The last event of one of its threads.
  var last = Sequence.start
  /// When one of its vCPUs ran last.
  var lastSeen = Nanoseconds(0)
  /// The last event that told of an unmap of its memory.
  var lastUnmapEvent = Sequence.start
}

/// Unmaps of a VM's memory that may be under way.
struct VMUnmaps {
  /// How many.
  var unfinished = 0
  /// Where in the merged trace the last unmap of any of its memory was over.
  var last = Sequence.start
  /// The epoch in which a fault is known to have operated: unmaps that began before the epoch, of which no event tells,
  /// were over by then.
  var settledEpoch = Epoch.never
}

/// The VMs that the trace shows, by `VMIndex`: who they are, as the roster says, and what happens in them.
struct VMRegister: ~Copyable {
  var roster = VMRoster()
  private var vms = RecordStore<AttributedVM>()

  /// How many are taken in.
  var count: Int { vms.count }
  /// All VMs, in the order of appearance.
  var indices: some Collection<VMIndex> { (0..<vms.count).lazy.map { VMIndex($0) } }
  /// The VMs that are not gone.
  @inline(__always)
  var live: [VMIndex] { roster.live }

  subscript(vm: VMIndex) -> AttributedVM {
    @inline(__always) unsafeAddress { UnsafePointer(vms.place(of: vm.position)) }
    @inline(__always) unsafeMutableAddress { vms.place(of: vm.position) }
  }

  /// The thread that made the first commit of a VM's slots, which belongs to the VMM; nil where none told.
  func creator(of vm: VMIndex) -> ThreadID? { roster.creator(of: vm) }

  /// A VM appears, which the roster has already.
  mutating func append(_ vm: AttributedVM) {
    assert(vm.id.position == vms.count && vms.count < roster.count, "VMs are numbered as they appear")
    vms.append(vm)
  }
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
  public var byLevel: [Int] { (0..<5).map { levels[$0] } }
  private var levels = SIMD8<Int>()

  /// No faults.
  public init() {}

  mutating func add(_ esr: ESR) {
    total += 1
    switch esr.faultKind {
    case .translation: translation += 1
    case .permission: permission += 1
    case .accessFlag: accessFlag += 1
    default: other += 1
    }
    if let level = esr.level { levels[Int(level.rawValue) + 1] += 1 }
  }
}
