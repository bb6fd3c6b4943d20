internal import KVMTrace
public import KVMTypes
public import Stage2Model
public import Stage2Replay

extension ReplayReport {
  /// One VM.
  public struct VMEntry: Encodable, Sendable {
    /// The position in `inputs`, where there are several.
    public var input: Int?
    /// The VM's number among those of its input.
    public var id: Int
    /// The process that created it, where that is known.
    public var pids: [Int32]
    /// True for a protected guest, nil for others.
    public var protected: Bool?
    /// When the VM was gone; nil for one that no event says is gone.
    public var endedNs: UInt64?
    /// How that is known.
    public var endBasis: Basis?
    /// When its vCPUs were initialised again, nil where nothing shows that they were.
    public var resets: [ResetEntry]?
    /// Its vCPUs, in the order of appearance.
    public var vcpus: [VCPUEntry]
    /// Every memslot it ever had, in the order of appearance.
    public var slots: [SlotEntry]
    /// Nil, like what follows from faults, where they were not recorded.
    public var faults: FaultsEntry?
    /// How they are known: as assumed where there are some that no VM is known to have taken.
    public var faultsBasis: Basis?
    /// Calls of stage-2 functions.
    public var operations: [OperationKind: OperationEntry]
    /// The functions of whose calls the trace does not tell all, for want of the events that lead to them; nil for none.
    public var partialOperations: [OperationKind]?
    /// Faults that led to none.
    public var faultsWithoutOperation: [NoOperationReason: Int]?
    /// How those are known.
    public var faultsWithoutOperationBasis: Basis?
    /// Hypercalls that the operations took; nil on the traditional path, and where it is not known what is mapped. Those of which the
    /// trace does not tell all, for want of the notifiers that lead to them, are left out. Those that end a VM and those that load and
    /// put a vCPU are not among them, and those that create the VM are only where it was not there before.
    public var hypercalls: [Hypercall: Int]?
    /// All of them; nil where some are not known.
    public var hypercallsTotal: Int?
    /// How they are known, nil where none is.
    public var hypercallsBasis: Basis?
    /// The memory of its stage 2.
    public var memory: MemoryEntry
    /// Its pages that faults showed in use.
    public var workingSet: WorkingSetEntry?
    /// The recorded time under its `mmu_lock`, nil where none was.
    public var lock: LockEntry?
    /// Events of the VM that contradict the model.
    public var divergences: DivergencesEntry
    /// The time under the lock as a cost model prices the operations, if one was asked.
    public var modelledLock: ModelledLockEntry?
    /// A simulation of the lock, if one was asked for.
    public var contention: ContentionStudy?
  }

  /// A VM's vCPUs were initialised again, which unmapped all slots.
  public struct ResetEntry: Encodable, Sendable {
    /// When the last of them had stopped.
    public var timeNs: UInt64
    /// How many of them there are: all slots were unmapped so often.
    public var vcpus: Int
    /// How that is known.
    public var basis: Basis
  }

  /// A vCPU.
  public struct VCPUEntry: Encodable, Sendable {
    /// Its number, in the order of appearance.
    public var index: Int
    /// The thread that runs it.
    public var tid: Int32
    /// The thread's command, nil where it was not recorded.
    public var command: String?
  }

  /// A memslot.
  public struct SlotEntry: Encodable, Sendable {
    /// Its number in the VM, nil where it is not known.
    public var id: Int16?
    /// The first frame, in the host's pages.
    public var gfn: UInt64
    /// How many of the host's pages it has.
    public var pages: UInt64
    /// The host address of the first, nil where it is not known.
    public var hva: UInt64?
    /// `KVM_MEM_*`.
    public var flags: UInt32
    /// How the slot is known.
    public var basis: Basis
    /// For an inferred slot: how many pairs of a fault and a host address speak for its host address.
    public var support: Int?
    /// How many contradict it.
    public var contradictions: Int?
    /// The share of those that speak for it.
    public var confidence: Double?
    /// How the host address is known.
    public var offsetBasis: Basis?
  }

  /// Faults by kind and level.
  public struct FaultsEntry: Encodable, Sendable {
    /// All faults.
    public var total: Int
    /// Faults on what is not mapped.
    public var translation: Int
    /// Faults for want of a right.
    public var permission: Int
    /// Access flag faults.
    public var accessFlag: Int
    /// Faults that turned out to be device accesses, as kvm_mmio tells; they are among the translation faults, too. Nil where it
    /// was not recorded.
    public var mmio: Int?
    /// Faults of any other status.
    public var other: Int
    /// Faults by the level at which the walk stopped, from -1 to 3.
    public var byLevel: [Int: Int]
    /// Faults of which the syndrome does not tell the level: of a walk of the guest's own table, and without one; nil where there
    /// are none.
    public var unknownLevel: Int?
    /// Faults of guests of the VM's own: they are not replayed, and in no other figure; nil where there are none.
    public var nested: Int?
  }

  /// Calls of one stage-2 function.
  public struct OperationEntry: Encodable, Sendable {
    /// All calls.
    public var count: Int
    /// Calls that returned -EAGAIN.
    public var eagain: Int
    /// Calls that returned another error.
    public var errors: Int
    /// The host's pages in the ranges of the calls that did not fail, mapped or not; one for a function on one address.
    public var pages: UInt64
    /// Calls by how they are known.
    public var basis: [Basis: Int]
  }

  /// A number of things now and at most.
  public struct Level: Encodable, Sendable {
    /// At the end of the trace.
    public var live: Int
    /// At most.
    public var peak: Int
  }
}

extension ReplayReport.VMEntry {
  init(_ vm: VMResult, _ trace: some EventSource, _ result: ReplayResult, span: Range<UInt64>) {
    id = vm.id
    pids = vm.creator.map { [$0.rawValue] } ?? []
    protected = vm.isProtected ? true : nil
    let found = vm.resets.map {
      ReplayReport.ResetEntry(timeNs: $0.time.rawValue, vcpus: $0.vcpus, basis: .assumed)
    }
    resets = found.isEmpty ? nil : found
    vcpus = vm.vcpus.enumerated().map {
      ReplayReport.VCPUEntry(index: $0, tid: $1.rawValue, command: trace.command(of: $1))
    }
    slots = vm.slots.map { ReplayReport.SlotEntry($0, vm.slotEvidence[$0]) }
    endedNs = vm.end?.time.rawValue
    endBasis = vm.end?.basis
    let certainty = Certainty(result, of: vm)
    let tellsFaults = result.events.tellsFaults
    faults =
      tellsFaults
      ? ReplayReport.FaultsEntry(vm.faults, tellsMMIO: !result.events.missing.contains(.mmio)) : nil
    faultsBasis = tellsFaults ? certainty.faults : nil
    operations = vm.operations.mapValues { ReplayReport.OperationEntry($0) }
    let partial = OperationKind.allCases.filter { !certainty.tells($0) }
    partialOperations = partial.isEmpty ? nil : partial
    faultsWithoutOperation = tellsFaults ? vm.faultsWithoutOperation : nil
    faultsWithoutOperationBasis = tellsFaults ? certainty.faultsWithoutOperation : nil
    hypercalls = vm.isTableKnown ? vm.hypercalls?.filter { certainty.tells($0.key) } : nil
    hypercallsTotal = certainty.tellsHypercalls ? hypercalls.map { $0.values.reduce(0, +) } : nil
    hypercallsBasis = hypercalls.map { _ in certainty.hypercalls }
    memory = ReplayReport.MemoryEntry(vm, certainty, result.grid, isPKVM: result.profile.isPKVM)
    workingSet =
      tellsFaults ? ReplayReport.WorkingSetEntry(vm.workingSet, certainty.touched, result.grid) : nil
    lock = vm.lock.map {
      ReplayReport.LockEntry(
        $0, result.grid, spanNs: span.upperBound - span.lowerBound, lifeNs: vm.lifeNs(in: span))
    }
    divergences = DivergencesEntry(
      result.divergences, vm: vm.id,
      uncheckedWhy: UncheckedDivergences.why(faults: faults?.total, missing: result.missingEvents))
  }
}

extension ReplayReport.SlotEntry {
  init(_ slot: Stage2Replay.Memslot, _ evidence: SlotEvidence?) {
    id = slot.id
    gfn = slot.base.rawValue
    pages = slot.pages
    hva = slot.hva?.rawValue
    flags = slot.flags.rawValue
    basis = slot.basis
    support = evidence?.support
    contradictions = evidence?.contradictions
    confidence = evidence?.roundedConfidence
    offsetBasis = slot.hva == nil ? nil : evidence?.offsetBasis
  }
}

extension ReplayReport.FaultsEntry {
  init(_ faults: FaultCounts, tellsMMIO: Bool = true) {
    let levels = faults.byLevel.enumerated().filter { $1 > 0 }.map { ($0 - 1, $1) }
    self.init(
      total: faults.total, translation: faults.translation, permission: faults.permission,
      accessFlag: faults.accessFlag, mmio: tellsMMIO ? faults.mmio : nil,
      other: faults.other,
      byLevel: Dictionary(uniqueKeysWithValues: levels),
      unknownLevel: faults.ofUnknownLevel > 0 ? faults.ofUnknownLevel : nil,
      nested: faults.nested > 0 ? faults.nested : nil)
  }
}

extension ReplayReport.OperationEntry {
  init(_ counts: OperationCounts) {
    self.init(
      count: counts.count, eagain: counts.again, errors: counts.errors, pages: counts.pages,
      basis: [.derived: counts.derived, .assumed: counts.assumed])
  }
}

extension ReplayReport.Level {
  init(_ count: LiveCount) {
    live = count.live
    peak = count.peak
  }
}

extension ReplayReport.VMEntry {
  /// Of which functions not all calls are told; nil where all are, or none is listed.
  package var partialOperationWords: String? {
    guard let partialOperations, !operations.isEmpty else { return nil }
    let names = ReplayReport.names(partialOperations)
    return "not all calls are told of \(names): events are missing that lead to them"
  }
}
