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
    var vcpus: [VCPUEntry]
    var slots: [SlotEntry]
    var faults: FaultsEntry
    var operations: [String: OperationEntry]
    var faultsWithoutOperation: [String: Int]
    var hypercalls: [String: Int]?
    var memory: MemoryEntry
    var workingSet: WorkingSetEntry
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

  /// Mapping objects.
  public struct MappingsEntry: Encodable, Sendable {
    var live: Int
    var peak: Int
    var page: Level
    var block: Level
  }

  /// Tables below the PGD.
  public struct TablesEntry: Encodable, Sendable {
    var live: Int
    var peak: Int
    var byLevel: [String: Level]
  }

  /// Depth of the mapping tree.
  public struct DepthEntry: Encodable, Sendable {
    var max: Int
    var mean: Double
  }

  /// The memory of a VM's stage 2.
  public struct MemoryEntry: Encodable, Sendable {
    var mappings: MappingsEntry?
    var mappingTreeBytes: Level?
    var treeDepth: DepthEntry?
    var pgdPages: Int
    var tablePages: TablesEntry
    var memcachePages: Level
    var totalBytes: Level
    /// What of the live bytes the host holds, and what EL2 does, which got it from the host.
    var hostBytes: Int
    var hypBytes: Int
    /// Live bytes for each GiB of guest memory that faults showed in use; nil where none did.
    var bytesPerTouchedGiB: Int?
    var basis: String
    var series: [MemorySeriesEntry]?
  }

  /// The memory of a VM's stage 2 at the end of an interval. Intervals in which nothing changed are left out.
  public struct MemorySeriesEntry: Encodable, Sendable {
    var timeNs: UInt64
    var pageMappings: Int
    var blockMappings: Int
    var mappingTreeBytes: Int
    var tablePages: Int
    var memcachePages: Int
    var totalBytes: Int

    init(_ sample: MemorySample, at time: Nanoseconds) {
      timeNs = time.rawValue
      pageMappings = sample.pageMappings
      blockMappings = sample.blockMappings
      mappingTreeBytes = sample.mappingTreeBytes
      tablePages = sample.tablePages
      memcachePages = sample.memcachePages
      totalBytes = sample.totalBytes
    }
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
        vm, result.profile.profile, scales: distinct, seed: seed)
    }
  }

  /// Whether any VM's lock could be simulated.
  public var hasContention: Bool { vms.contains { $0.contention != nil } }

  /// Leaves out everything over time, which is most of a report.
  public mutating func removeSeries() {
    for index in vms.indices {
      vms[index].memory.series = nil
      vms[index].workingSet.series = nil
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
    for field in Profile.fields {
      profile[field.name] = ProfileFieldValue(field.value(in: result.profile.profile))
      profileBasis[field.name] = (result.profile.basis[field.name] ?? .assumed).name
    }
    seriesIntervalNs = result.grid.interval.rawValue
    vms = result.vms.map { VMEntry($0, trace, result, spanNs: span.rawValue) }
    divergences = DivergencesEntry(result.divergences)
    unattributedFaults = result.unattributedFaults
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
    let levels = vm.faults.byLevel.enumerated().filter { $1 > 0 }.map { (String($0 - 1), $1) }
    faults = ReplayReport.FaultsEntry(
      total: vm.faults.total, translation: vm.faults.translation, permission: vm.faults.permission,
      accessFlag: vm.faults.accessFlag, mmio: vm.faults.mmio, other: vm.faults.other,
      byLevel: Dictionary(uniqueKeysWithValues: levels))
    operations = Dictionary(
      uniqueKeysWithValues: vm.operations.map { kind, counts in
        (
          kind.reportName,
          ReplayReport.OperationEntry(
            count: counts.count, eagain: counts.again, errors: counts.errors, pages: counts.pages,
            basis: [Basis.derived.name: counts.derived, Basis.assumed.name: counts.assumed])
        )
      })
    faultsWithoutOperation = vm.faultsWithoutOperation
    hypercalls = vm.hypercalls
    memory = ReplayReport.MemoryEntry(vm, result.grid, isPKVM: result.profile.isPKVM)
    workingSet = ReplayReport.WorkingSetEntry(vm.workingSet, result.grid)
    lock = vm.lock.map { ReplayReport.LockEntry($0, result.grid, spanNs: spanNs) }
    divergences = DivergencesEntry(result.divergences, vm: vm.id)
  }
}

extension ReplayReport.MemoryEntry {
  init(_ vm: VMResult, _ grid: TimeGrid, isPKVM: Bool) {
    let memory = vm.memory
    if isPKVM {
      mappings = ReplayReport.MappingsEntry(
        live: memory.mappings.live, peak: memory.mappings.peak, page: .init(memory.pageMappings),
        block: .init(memory.blockMappings))
      mappingTreeBytes = ReplayReport.Level(live: memory.mappingBytesLive, peak: memory.mappingBytesPeak)
      treeDepth = vm.treeDepth.map { ReplayReport.DepthEntry(max: $0.maximum, mean: $0.mean) }
    }
    pgdPages = memory.pages(.pgd).live
    let levels = [TranslationLevel.l1, .l2, .l3].map { ($0, memory.tables(level: $0)) }.filter { $1.peak > 0 }
    tablePages = ReplayReport.TablesEntry(
      live: memory.tables.live, peak: memory.tables.peak,
      byLevel: Dictionary(uniqueKeysWithValues: levels.map { (String($0.rawValue), .init($1)) }))
    let spare = [PageUse.hostMemcache, .hypMemcache].map { memory.pages($0) }
    memcachePages = ReplayReport.Level(
      live: spare.reduce(0) { $0 + $1.live }, peak: spare.reduce(0) { $0 + $1.peak })
    totalBytes = .init(memory.totalBytes)
    let hypUses: [PageUse] =
      isPKVM
      ? [.pgd, .tableLevel1, .tableLevel2, .tableLevel3, .hypMemcache, .pool, .hypVM, .hypVCPU] : []
    hypBytes = hypUses.reduce(0) { $0 + memory.pages($1).live } << Int(memory.pageSize.shift)
    hostBytes = memory.totalBytes.live - hypBytes
    let touchedBytes = Double(vm.workingSet.pages) * Double(memory.pageSize.bytes)
    bytesPerTouchedGiB =
      touchedBytes > 0 ? Int(Double(memory.totalBytes.live) / touchedBytes * Double(1 << 30)) : nil
    let samples = vm.memorySeries.samples
    series = samples.indices.filter { $0 == 0 || samples[$0] != samples[$0 - 1] }.map { index in
      ReplayReport.MemorySeriesEntry(samples[index], at: grid.end(of: vm.memorySeries.first + index))
    }
    // Every figure follows from the operations, whose own basis is stated with them.
    basis =
      vm.operations.values.contains { $0.assumed > 0 } ? Basis.assumed.name : Basis.derived.name
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
