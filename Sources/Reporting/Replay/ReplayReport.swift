public import CostFit
public import KVMTrace
public import KVMTypes
public import Stage2Model
public import Stage2Replay

/// The JSON report of a replay, as the page Report documents it. Fields are added, never renamed.
public struct ReplayReport: Encodable, Sendable {
  /// The version of this layout.
  public var schemaVersion = 1
  /// The program.
  public var tool = "pkvm-replay"
  /// The traces.
  public var inputs: [TraceInfo]
  /// The kernel and machine that were modelled.
  public var profile: ProfileEntry
  /// How each field of the profile is known.
  public var profileBasis: [ProfileField.ID: Basis]
  /// The release that is modelled as the nearest era, as nothing is known of its own; nil for one that is listed.
  public var unlistedRelease: String?
  /// The shared object in the place of the model's stage 2; nil without one.
  public var backend: BackendEntry?
  /// The length of the intervals in which all series count, nil where those of several inputs differ.
  public var seriesIntervalNs: UInt64?
  /// "ticks" where the clock does not count nanoseconds: the intervals and times of all series are in them then, whatever their
  /// names say; nil where it does, and where several inputs differ.
  public var seriesUnit: String?
  /// The VMs.
  public var vms: [VMEntry]
  /// How the predicted operations agree with the recorded ones; nil without probes.
  public var agreement: AgreementTable?
  /// Events that contradict the model.
  public var divergences: DivergencesEntry
  /// What the host counted at quiet points, against the model; nil where no marker tells.
  public var memoryMarkers: [MarkerEntry]?
  /// Faults of threads that belong to no VM; nil where kvm_guest_fault was not recorded.
  public var unattributedFaults: Int?
  /// Notifiers on memory in no slot that is known.
  public var unattributedNotifiers: NotifiersEntry
  /// Recorded holds of `mmu_lock` that are in the figures of no VM, as nothing tells whose lock it was; nil where there
  /// are none.
  public var unattributedHolds: UnattributedHoldsEntry?
  /// The events that the trace does not record, and what that costs; nil where it has all.
  public var notRecorded: [MissingEntry]?
  /// What the replay could not know, each with its count; nil where there is nothing.
  public var notKnown: [NotKnownEntry]?
  /// What belongs to one input, for several; nil for one.
  public var replays: [ReplayEntry]?
  /// Sums over all VMs, for several inputs; nil for one.
  public var totals: TotalsEntry?

  /// Adds the time under the lock as a cost model prices the operations, which the replay must have measured.
  public mutating func price(_ result: ReplayResult, _ model: CostModel) {
    for (index, vm) in result.vms.enumerated() {
      vms[index].modelledLock = ModelledLockEntry(vm, result, model)
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

  /// In a few words, that another kernel was modelled than the one that was traced; nil where it is the same, or not known.
  public var otherKernel: String? {
    guard let kernel = inputs.first?.kernel, let era = KernelRelease(kernel)?.era,
      let modelled = profile[.era],
      modelled != .word(era.name)
    else { return nil }
    return "the trace is of \(kernel), modelled as \(modelled)"
  }

  /// Leaves out everything over time, which is most of a report.
  public mutating func removeSeries() {
    for index in vms.indices {
      vms[index].memory.series = nil
      vms[index].workingSet?.series = nil
      vms[index].lock?.series = nil
    }
  }

  /// The report of one replayed source, or of a part of one.
  ///
  /// - Parameter window: the part with its counts, where somebody counted.
  public init(
    _ trace: some EventSource, _ statistics: EventStatistics, _ result: ReplayResult,
    window: TraceWindow? = nil
  ) {
    var input = TraceInfo(trace, statistics, result.profile.host)
    input.window = window ?? (result.part.isWhole ? nil : TraceWindow(result.part, statistics, trace.clock))
    let span = result.part.span(statistics)
    input.setRecording(result.recordingSettings)
    inputs = [input]
    memoryMarkers = result.markers.isEmpty ? nil : result.markers.map(MarkerEntry.init)
    profile = ProfileEntry(result.profile.profile)
    profileBasis = [:]
    for field in ProfileField.ID.allCases { profileBasis[field] = result.profile.basis[field] ?? .assumed }
    unlistedRelease = result.profile.unlistedRelease
    seriesIntervalNs = result.grid.interval.rawValue
    seriesUnit = result.grid.isOfTicks ? "ticks" : nil
    vms = result.vms.map { VMEntry($0, trace, result, span: span) }
    let faults = result.vms.reduce(0) { $0 + $1.faults.total }
    divergences = DivergencesEntry(
      result.divergences,
      uncheckedWhy: UncheckedDivergences.why(
        faults: result.events.tellsFaults ? faults : nil, missing: result.missingEvents))
    unattributedFaults = result.events.tellsFaults ? result.unattributedFaults : nil
    unattributedNotifiers = NotifiersEntry(result.unattributedNotifiers, missing: result.events.missing)
    unattributedHolds =
      result.unattributedHolds.count > 0 ? UnattributedHoldsEntry(result.unattributedHolds) : nil
    notRecorded = result.missingEvents.isEmpty ? nil : result.missingEvents.map(MissingEntry.init)
    agreement = result.agreement.map(AgreementTable.init)
    notKnown = NotKnownEntry.all(self, result)
  }
}
