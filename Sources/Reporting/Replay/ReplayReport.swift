public import CostFit
public import KVMTrace
internal import KVMTypes
internal import Stage2Model
public import Stage2Replay

/// The JSON report of a replay, as the README documents it. Fields are added, never renamed.
public struct ReplayReport: Encodable, Sendable {
  /// The version of this layout.
  public var schemaVersion = 1
  /// The program.
  public var tool = "pkvm-replay"
  /// The traces.
  public var inputs: [TraceInfo]
  /// The kernel and machine that were modelled.
  public var profile: [String: ProfileFieldValue]
  /// How each field of the profile is known.
  public var profileBasis: [String: String]
  /// The release that is modelled as the nearest era, as nothing is known of its own; nil for one that is listed.
  public var unlistedRelease: String?
  /// The length of the intervals in which all series count, nil where those of several inputs differ.
  public var seriesIntervalNs: UInt64?
  /// The VMs.
  public var vms: [VMEntry]
  /// How the predicted operations agree with the recorded ones, by operation; nil without probes.
  public var agreement: [String: AgreementEntry]?
  /// Events that contradict the model.
  public var divergences: DivergencesEntry
  /// What the host counted at quiet points, against the model; nil where no marker tells.
  public var memoryMarkers: [MarkerEntry]?
  /// Faults of threads that belong to no VM.
  public var unattributedFaults: Int
  /// Notifiers on memory in no slot that is known.
  public var unattributedNotifiers: NotifiersEntry
  /// The events that the trace does not record, and what that costs; nil where it has all.
  public var notRecorded: [MissingEntry]?
  /// What belongs to one input, for several; nil for one.
  public var replays: [ReplayEntry]?
  /// Sums over all VMs, for several inputs; nil for one.
  public var totals: TotalsEntry?

  /// One VM.
  public struct VMEntry: Encodable, Sendable {
    /// The position in `inputs`, where there are several.
    var input: Int?
    /// The VM's number among those of its input.
    var id: Int
    var pids: [Int32]
    /// True for a protected guest, nil for others.
    var protected: Bool?
    /// When the VM was gone, and how that is known; nil for one that no event says is gone.
    var endedNs: UInt64?
    var endBasis: String?
    var vcpus: [VCPUEntry]
    var slots: [SlotEntry]
    /// Nil, like what follows from faults, where they were not recorded.
    var faults: FaultsEntry?
    var operations: [String: OperationEntry]
    var faultsWithoutOperation: [String: Int]?
    var hypercalls: [String: Int]?
    var hypercallsTotal: Int?
    var memory: MemoryEntry
    var workingSet: WorkingSetEntry?
    var lock: LockEntry?
    var divergences: DivergencesEntry
    /// With `--costs`, and with `--contention`.
    var modelledLock: ModelledLockEntry?
    var contention: ContentionStudy?
  }

  /// A vCPU.
  public struct VCPUEntry: Encodable, Sendable {
    var index: Int
    var tid: Int32
    var command: String?
  }

  /// A memslot.
  public struct SlotEntry: Encodable, Sendable {
    var id: Int16?
    var gfn: UInt64
    var pages: UInt64
    /// Nil where it is not known.
    var hva: UInt64?
    var flags: UInt32
    var basis: String
    // For inferred slots, what speaks for the host address.
    var support: Int?
    var contradictions: Int?
    var confidence: Double?
    var offsetBasis: String?
  }

  /// Faults by kind and level.
  public struct FaultsEntry: Encodable, Sendable {
    var total: Int
    var translation: Int
    var permission: Int
    var accessFlag: Int
    var mmio: Int
    var other: Int
    var byLevel: [String: Int]
  }

  /// Calls of one stage-2 function.
  public struct OperationEntry: Encodable, Sendable {
    var count: Int
    var eagain: Int
    var errors: Int
    var pages: UInt64
    var basis: [String: Int]
  }

  /// A number of things now and at most.
  public struct Level: Encodable, Sendable {
    var live: Int
    var peak: Int
  }

  /// How predictions of one operation fared.
  public struct AgreementEntry: Encodable, Sendable {
    var recorded: Int
    var predicted: Int
    var matched: Int
    var answersMatched: Int?
    var protCompared: Int?
    var protMatched: Int?
    var protDerived: Int?
    var protDerivedMatched: Int?
    var derivedWrong: Int
    var mismatches: [MismatchEntry]
  }

  /// A predicted and a recorded operation that differ.
  public struct MismatchEntry: Encodable, Sendable {
    /// The position in `inputs`, where there are several.
    var input: Int?
    var predicted: OperationFields?
    var recorded: OperationFields?
  }

  /// An operation.
  public struct OperationFields: Encodable, Sendable {
    var timeNs: UInt64
    var tid: Int32
    var address: UInt64
    var size: UInt64
    var prot: UInt64?
    var ret: Int32?
    var basis: String
  }

  /// Adds the time under the lock as a cost model prices the operations, which the replay must have measured.
  public mutating func price(_ result: ReplayResult, _ model: CostModel) {
    for (index, vm) in result.vms.enumerated() {
      vms[index].modelledLock = ModelledLockEntry(vm, result.profile.profile, model)
    }
  }

  /// Adds a simulation of each VM's lock, for the vCPUs it had times each of `scales`.
  public mutating func simulate(_ result: ReplayResult, scales: [Double], seed: UInt64) {
    for (index, vm) in result.vms.enumerated() {
      let counts = scales.map { max(1, Int((Double(vm.vcpus.count) * $0).rounded())) }
      var distinct: [Int] = []
      for count in counts where !distinct.contains(count) { distinct.append(count) }
      vms[index].contention = ContentionStudy(
        vm, faultLock: result.lockModes.faultLock, scales: distinct, seed: seed)
    }
  }

  /// Whether any VM's lock could be simulated.
  public var hasContention: Bool { vms.contains { $0.contention != nil } }

  /// Leaves out everything over time, which is most of a report.
  public mutating func removeSeries() {
    for index in vms.indices {
      vms[index].memory.series = nil
      vms[index].workingSet?.series = nil
      vms[index].lock?.series = nil
    }
  }

  /// The report of one replayed trace, or of a part of one.
  public init(
    _ trace: TraceFile, _ statistics: EventStatistics, _ result: ReplayResult, window: TraceWindow? = nil
  ) {
    var input = TraceInfo(trace, statistics, result.profile.host)
    input.window = window
    let span = window?.span(in: statistics) ?? statistics.span
    input.setRecording(result.recordingSettings)
    inputs = [input]
    memoryMarkers = result.markers.isEmpty ? nil : result.markers.map(MarkerEntry.init)
    profile = ["name": .word(result.profile.profile.name)]
    profileBasis = [:]
    unlistedRelease = result.profile.unlistedRelease
    for field in Profile.fields {
      profile[field.name] = ProfileFieldValue(field.value(in: result.profile.profile))
      profileBasis[field.name] = (result.profile.basis[field.name] ?? .assumed).name
    }
    seriesIntervalNs = result.grid.interval.rawValue
    vms = result.vms.map { VMEntry($0, trace, result, spanNs: span.rawValue) }
    divergences = DivergencesEntry(result.divergences)
    unattributedFaults = result.unattributedFaults
    unattributedNotifiers = NotifiersEntry(result.unattributedNotifiers)
    notRecorded = result.missingEvents.isEmpty ? nil : result.missingEvents.map(MissingEntry.init)
    agreement = result.agreement.map { agreement in
      Dictionary(
        uniqueKeysWithValues: agreement.scores.map { kind, score in
          (kind.name, AgreementEntry(kind, score, agreement.mismatches))
        })
    }
  }
}

extension ReplayReport.VMEntry {
  init(_ vm: VMResult, _ trace: TraceFile, _ result: ReplayResult, spanNs: UInt64) {
    id = vm.id
    pids = vm.creator.map { [$0.rawValue] } ?? []
    protected = vm.isProtected ? true : nil
    vcpus = vm.vcpus.enumerated().map {
      ReplayReport.VCPUEntry(index: $0, tid: $1.rawValue, command: trace.command(of: $1))
    }
    slots = vm.slots.map { slot in
      let evidence = vm.slotEvidence[slot]
      return ReplayReport.SlotEntry(
        id: slot.id, gfn: slot.base.rawValue, pages: slot.pages, hva: slot.hva?.rawValue,
        flags: slot.flags.rawValue, basis: slot.basis.name, support: evidence?.support,
        contradictions: evidence?.contradictions, confidence: evidence?.roundedConfidence,
        offsetBasis: slot.hva == nil ? nil : evidence?.offsetBasis.name)
    }
    endedNs = vm.end?.time.rawValue
    endBasis = vm.end?.basis.name
    let tellsFaults = result.events.tellsFaults
    faults = tellsFaults ? ReplayReport.FaultsEntry(vm.faults) : nil
    operations = Dictionary(
      uniqueKeysWithValues: vm.operations.map { kind, counts in
        (
          kind.reportName,
          ReplayReport.OperationEntry(
            count: counts.count, eagain: counts.again, errors: counts.errors, pages: counts.pages,
            basis: [Basis.derived.name: counts.derived, Basis.assumed.name: counts.assumed])
        )
      })
    faultsWithoutOperation = tellsFaults ? vm.faultsWithoutOperation : nil
    hypercalls = vm.isTableKnown ? vm.hypercalls : nil
    hypercallsTotal = hypercalls.map { $0.values.reduce(0, +) }
    memory = ReplayReport.MemoryEntry(vm, result.grid, isPKVM: result.profile.isPKVM)
    workingSet = tellsFaults ? ReplayReport.WorkingSetEntry(vm.workingSet, result.grid) : nil
    lock = vm.lock.map { ReplayReport.LockEntry($0, result.grid, spanNs: spanNs) }
    divergences = DivergencesEntry(result.divergences, vm: vm.id)
  }
}

extension ReplayReport.FaultsEntry {
  init(_ faults: FaultCounts) {
    let levels = faults.byLevel.enumerated().filter { $1 > 0 }.map { (String($0 - 1), $1) }
    self.init(
      total: faults.total, translation: faults.translation, permission: faults.permission,
      accessFlag: faults.accessFlag, mmio: faults.mmio, other: faults.other,
      byLevel: Dictionary(uniqueKeysWithValues: levels))
  }
}

extension ReplayReport.Level {
  init(_ count: LiveCount) {
    live = count.live
    peak = count.peak
  }
}

extension ReplayReport.AgreementEntry {
  init(_ kind: OperationKind, _ score: AgreementScore, _ mismatches: [AgreementMismatch]) {
    recorded = score.recorded
    predicted = score.predicted
    matched = score.matched
    answersMatched = kind == .testClearYoung ? score.answerMatched : nil
    protCompared = kind == .map || kind == .relaxPerms ? score.protCompared : nil
    protMatched = kind == .map || kind == .relaxPerms ? score.protMatched : nil
    protDerived = kind == .map || kind == .relaxPerms ? score.protDerived : nil
    protDerivedMatched = kind == .map || kind == .relaxPerms ? score.protDerivedMatched : nil
    derivedWrong = score.derivedWrong
    self.mismatches = mismatches.filter { ($0.predicted ?? $0.recorded)?.kind == kind }.map {
      ReplayReport.MismatchEntry(
        predicted: $0.predicted.map { .init($0) }, recorded: $0.recorded.map { .init($0) })
    }
  }
}

extension ReplayReport.OperationFields {
  init(_ operation: Stage2Operation) {
    timeNs = operation.time.rawValue
    tid = operation.tid.rawValue
    address = operation.address.rawValue
    size = operation.size
    prot = operation.prot?.rawValue
    ret = operation.result
    basis = operation.basis.name
  }
}

extension OperationKind {
  /// The name in the JSON report.
  var reportName: String {
    switch self {
    case .relaxPerms: "relaxPerms"
    case .testClearYoung: "testClearYoung"
    default: name
    }
  }
}
