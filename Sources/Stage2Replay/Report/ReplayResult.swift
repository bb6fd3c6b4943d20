public import KVMTrace
public import KVMTypes
public import Stage2Model

/// What a replay found: values only, which every renderer reads.
public struct ReplayResult: Sendable {
  /// The profile that was replayed.
  public var profile: ReplayProfile
  /// How the traced host took `mmu_lock`, whatever was modelled.
  public var lockModes: RecordedLockModes
  /// The part of the trace that was replayed: times, rates and shares are of that.
  public var part: TracePart
  /// The intervals of the series.
  public var grid: TimeGrid
  /// When events of some CPU are missing, in the order of time: each from that CPU's last event to the next one, to the end of time
  /// where there is none. Gaps that overlap are one, and some thousand at most are told apart.
  public var gaps: [Range<Nanoseconds>] = []
  /// The VMs, in the order of appearance.
  public var vms: [VMResult]
  /// How the predicted operations agree with the recorded ones; nil where no probe recorded any, or none was
  /// looked at.
  public var agreement: AgreementResult?
  /// Faults of threads that belong to no VM.
  public var unattributedFaults: Int
  /// Notifiers on memory in no slot that is known.
  public var unattributedNotifiers: NotifierCounts
  /// Which VMs' vCPUs the threads ran; those of one thread in the order of time.
  public var vcpuSpans: [VCPUSpan]
  /// Whether it is a guess alone, behind a gap, which VM's vCPU a thread ran.
  package var guessesVCPUs = false
  /// The threads that ran guests before any event was missing, and of whose VMs none has ended since.
  package var runningFromBeginning: [ThreadID]
  /// Which VM is behind threads and addresses, and when, if that was put down.
  public var timeline: VMTimeline?
  /// Events that contradict the model.
  public var divergences = DivergenceReport()
  /// What the host counted at quiet points, against the model; empty where the trace has no such markers.
  public var markers: [MarkerResult] = []
  /// What was recorded of the time under the locks of all VMs, each of its own; nil where nothing was.
  public var lock: LockResult?
  /// Recorded holds that are in the figures of no VM, for nothing tells whose lock it was.
  public var unattributedHolds = UnattributedHolds()
  /// Whether another kernel than the traced one was modelled.
  public var isOtherKernel = false
  /// How the recording was made, as a marker says; empty where none does.
  public var recordingSettings: [TraceMarker.Setting] = []
  /// Which events the trace records.
  public var events: RecordedEvents
  /// Whether the trace has any event of KVM's own.
  public var sawKVM: Bool
  /// Whether the clock says how long anything took; where not, there are no times under locks.
  public var measuresTime = true
  /// The events that it does not record, and what that costs.
  public var missingEvents: [MissingEvents] = []

  /// Where all events say otherwise than those did by which the replay of a source went that can be read only once. What
  /// they contradict is `assumed`.
  public var contradictions: [String] = []

  /// In one line, for want of which events the replay says less than it could of operations and memory; nil where it
  /// has all that matter.
  public var lack: String? {
    let statements = missingEvents.filter(\.isEssential).map(\.statement) + caveats
    return statements.isEmpty ? nil : statements.joined(separator: "; ")
  }

  /// For want of which events it is not known how often memory was aged, whatever else the replay tells: a line each.
  public var unknownAges: [String] {
    missingEvents.filter { $0.events.contains { RecordedEvents.ages.contains($0) } && events.tellsFaults }
      .map(\.statement)
  }

  /// Faults of guests' guests, which are not replayed.
  public var nestedFaults: Int { vms.reduce(0) { $0 + $1.faults.nested } }

  /// What concerns all of a replay and no event says: a line each.
  public var caveats: [String] {
    var lines: [String] = []
    if nestedFaults > 0 {
      lines.append(
        "\(nestedFaults) fault\(nestedFaults == 1 ? "" : "s") of nested guests, which are not replayed: their shadow tables are "
          + "in no figure")
    }
    if events.isUnordered {
      lines.append("the clock's ticks do not order the events of different CPUs: all operations are assumed")
    }
    if !events.tellsLosses {
      lines.append(
        "whether events were lost is unknown: all operations are assumed, and nothing contradicts the model")
    }
    if part.slice?.otherVMs == .meanwhile {
      lines.append(
        "events of other VMs, which were there at the same time, were left out of this part: all operations are assumed"
      )
    }
    if !measuresTime {
      lines.append("the clock does not tell how long anything takes: there are no times under mmu_lock")
    }
    return lines
  }
}

/// Calls of the MMU notifier, by kind.
public struct NotifierCounts: Hashable, Sendable {
  /// `kvm_unmap_hva_range`, and `kvm_set_spte_hva`.
  public var unmap = 0
  /// `kvm_age_hva`.
  public var age = 0
  /// `kvm_test_age_hva`.
  public var testAge = 0

  /// All of them.
  public var total: Int { unmap + age + testAge }

  mutating func add(_ kind: TimelineNode.Kind) {
    switch kind {
    case .unmap: unmap += 1
    case .age: age += 1
    default: testAge += 1
    }
  }
}

/// The end of a VM, as far as the trace tells.
public struct VMEnd: Hashable, Sendable {
  /// When it was gone.
  public var time: Nanoseconds
  /// `recorded` by a probe on `kvm_arch_destroy_vm`; `assumed` where another VM took its place, or a file says so.
  public var basis: Basis
}

/// A VM's vCPUs were initialised again (KVM_ARM_VCPU_INIT), which unmapped all its slots, once for each: an assumption, for no event
/// tells it.
public struct VMReset: Hashable, Sendable {
  /// When the last of them had left KVM_RUN.
  public var time: Nanoseconds
  /// How many there are.
  public var vcpus: Int
}

/// What a replay found about one VM.
public struct VMResult: Sendable {
  /// The VM's number in the report.
  public var id: Int
  /// The thread that created its slots, nil where no probe told.
  public var creator: ThreadID?
  /// When it appeared, in the part that was replayed.
  public var since: Nanoseconds
  /// When one of its vCPUs ran last.
  public var lastSeen: Nanoseconds
  /// Whether it had slots before the trace began: its boot was not recorded.
  public var wasRunning: Bool
  /// Whether it was there before what was replayed: its boot is in no figure.
  public var beganBefore: Bool
  /// Whether it is a protected guest (`kvm_vm_is_protected`): its memory is donated to it.
  public var isProtected: Bool
  /// The threads that ran its vCPUs, in the order of appearance.
  public var vcpus: [ThreadID]
  /// Every slot it ever had, in the order of appearance.
  public var slots: [Memslot]
  /// What speaks for those of them that were inferred.
  public var slotEvidence: [Memslot: SlotEvidence]
  /// When its vCPUs were initialised again.
  public var resets: [VMReset]
  /// Its faults.
  public var faults: FaultCounts
  /// Under another kernel than the one that was traced: the recorded faults that are accesses to memory, and the faults
  /// that these accesses take there.
  public var accesses: Int
  /// The faults that those accesses take under another kernel.
  public var modelledFaults: Int
  /// Its operations.
  public var operations: [OperationKind: OperationCounts]
  /// Faults that led to no operation, by reason.
  public var faultsWithoutOperation: [NoOperationReason: Int]
  /// The hypercalls that its operations took, nil on the traditional path. Those that end a VM are not among them, and those
  /// that create it are only where it was not there before.
  public var hypercalls: [Hypercall: Int]?
  /// Whether what its stage 2 maps is known at all.
  public var isTableKnown = true
  /// No figure of its stage 2 is more certain than this.
  public var tableBasis = Basis.derived
  /// The memory of its stage 2, at the end of the trace: nothing, if the VM has ended.
  public var memory: MemoryAccounting
  /// When it ended, nil for a VM that no event says is gone.
  public var end: VMEnd?
  /// The memory of its stage 2 just before it ended, nil for a VM that has not.
  public var lastMemory: MemoryAccounting?
  /// The deepest node of the mapping tree and the mean depth, nil on the traditional path.
  public var treeDepth: (maximum: Int, mean: Double)?
  /// Its memory over time.
  public var memorySeries: MemorySeries
  /// What it occupied over its own life.
  public var lifeSeries: LifeSeries
  /// Its pages that faults showed in use.
  public var workingSet: WorkingSetResult
  /// What was recorded of the time under its lock, nil where nothing was.
  public var lock: LockResult?
  /// What its operations cost, by kind, if that was counted.
  public var work: [OperationKind: Stage2Work]
  /// What else than operations rests on assumptions.
  public var doubts: ReplayDoubts
  /// Its recorded sections under the lock by thread, if they were kept.
  public var sections: [ThreadID: [RecordedSection]]
}

/// How many decisions about faults are choices among several that the trace allows, but for those whose operations say so.
public struct ReplayDoubts: Hashable, Sendable {
  /// Faults that are taken to have come to nothing.
  public var outcomes = 0
  /// Under another kernel: accesses of which the place, the size or the order is not certain.
  public var accesses = 0
  /// Under another kernel: accesses that are taken to have been given the right to write.
  public var rights = 0
}

/// How predicted operations agree with recorded ones.
public struct AgreementResult: Sendable {
  /// By kind, for kinds that either side has.
  public var scores: [OperationKind: AgreementScore]
  /// The first mismatches, in the order of time.
  public var mismatches: [AgreementMismatch]
  /// All mismatches.
  public var mismatchCount: Int
  /// Recorded durations with the work that was predicted, if they were kept.
  public var timings: [OperationTiming]
}
