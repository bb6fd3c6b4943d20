public import KVMTrace
internal import KVMTypes
public import Stage2Model

/// Replays a trace: reads its events once to learn about the host, and once more to drive the models.
public enum Replay {
  /// Replays `trace`.
  ///
  /// - Parameters:
  ///   - request: what is known about the host besides the trace.
  ///   - options: what to leave out, and how far to look ahead.
  ///   - onOperation: receives every operation, in the order in which it was applied.
  /// - Throws: an `UnreplayableTrace` for one of another kind of host or without KVM's events, a `ProfileProblem` for a
  ///   profile that contradicts itself or the trace, and what `onOperation` throws.
  /// - Returns: what was found, and what the pass over the file counted.
  public static func run(
    _ trace: TraceFile, profile request: ProfileRequest, options: ReplayOptions,
    onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    if let reason = UnreplayableTrace(machineOf: trace) { throw reason }
    let found = try run(over: trace, profile: request, options: options, onOperation: onOperation)
    if let reason = UnreplayableTrace(trace, found.result, found.statistics) { throw reason }
    return found
  }

  /// Replays records from any source.
  package static func run(
    over source: some RecordSource, profile request: ProfileRequest, options: ReplayOptions,
    onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    // What the traced kernel was timed at says nothing about another one.
    var options = options
    if options.otherKernel != nil { options.ignoresProbes = true }
    let surveyed = SurveyedTrace(source, stated: request.pageSize, options: options)
    let profile = try ReplayProfile(request, surveyed.profile)
    let lockModes = try RecordedLockModes(request, surveyed.profile)
    let model =
      try options.otherKernel.map { try ReplayProfile($0.request, surveyed.profile, on: profile) } ?? profile
    // What operations cost includes the nodes that they visit.
    let keepsTree = options.measuresWork
    return model.isPKVM
      ? try run(source, profile, model, lockModes, surveyed, options, onOperation) {
        model.makePKVM(isProtected: $0, keepsMappingTree: keepsTree)
      }
      : try run(source, profile, model, lockModes, surveyed, options, onOperation) { _ in
        model.makeTraditional()
      }
  }

  /// What `requests` come to on the host of `trace`: the profile of the traced kernel, then one for each request, on the
  /// machine of the first. Nothing is replayed.
  ///
  /// - Throws: a `ProfileProblem` for a profile that contradicts itself or the trace.
  public static func profiles(
    of trace: TraceFile, traced: ProfileRequest, others requests: [ProfileRequest]
  ) throws(ProfileProblem) -> (traced: ReplayProfile, others: [ReplayProfile]) {
    let surveyed = SurveyedTrace(trace, stated: traced.pageSize, options: ReplayOptions())
    let profile = try ReplayProfile(traced, surveyed.profile)
    var others: [ReplayProfile] = []
    for request in requests { others.append(try ReplayProfile(request, surveyed.profile, on: profile)) }
    return (profile, others)
  }

  private static func run<Backend: ReplayedBackend & ~Copyable>(
    _ source: some RecordSource, _ profile: ReplayProfile, _ model: ReplayProfile,
    _ lockModes: RecordedLockModes, _ surveyed: SurveyedTrace, _ options: ReplayOptions,
    _ onOperation: ((Stage2Operation) throws -> Void)?,
    makeBackend: @escaping (_ isProtected: Bool) -> Backend
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    var replayer = Replayer(
      profile: profile, model: model, lockModes: lockModes, survey: surveyed.survey,
      vcpuEvidence: surveyed.evidence, options: options, memslots: surveyed.memslots,
      probes: ProbeRecording(source), collectsOperations: onOperation != nil, grid: surveyed.grid(options),
      makeBackend: makeBackend)
    let statistics = try source.forEachRun(.replay(probes: !options.ignoresProbes)) { run, damage in
      if !surveyed.survey.knows(damage: damage, of: run.records[0].cpu) { replayer.losses.loseRest() }
      replayer.consume(run.records)
      if let onOperation { for operation in replayer.takeOperations() { try onOperation(operation) } }
    }
    replayer.finish()
    if let onOperation { for operation in replayer.takeOperations() { try onOperation(operation) } }
    var result = replayer.result()
    result.missingEvents = surveyed.survey.events.costs(memslots: surveyed.memslots)
    return (result, statistics)
  }
}

extension Replayer where Backend: ~Copyable {
  fileprivate borrowing func result() -> ReplayResult {
    ReplayResult(
      profile: model, lockModes: lockModes, grid: grid, vms: vms.map { result(of: $0) },
      agreement: agreement.result, unattributedFaults: unattributedFaults,
      unattributedNotifiers: unattributedNotifiers, vcpuSpans: vcpuSpans,
      timeline: timeline, divergences: divergences.result, markers: markers,
      lock: options.otherKernel == nil ? lockOfAllVMs() : nil, isOtherKernel: options.otherKernel != nil,
      recordingSettings: survey.markers.settings, events: survey.events, sawKVM: survey.sawKVM)
  }

  private func result(of vm: GuestVM<Backend>) -> VMResult {
    var result = VMResult(
      vm, model, isTraced: options.otherKernel == nil,
      lastInterval: vm.end.map { grid.index(of: $0.time) } ?? grid.count - 1, lockModes)
    // Faults tell what is mapped, in slots; and what was mapped before the first of them, or in a gap, none tells.
    result.isTableKnown =
      survey.events.tellsFaults
      && (!vm.slotHistory.isEmpty || vm.tally.faults.total == vm.tally.faults.mmio)
    // Which tables there are follows from the path, which another kernel may state, and from the page size.
    let statesPath = options.otherKernel.map { $0.request.kernel != nil || $0.request.path != nil } ?? false
    let isOfKnownHost = ["path", "pageSize"].allSatisfy {
      profile.basis[$0] != .assumed || $0 == "path" && statesPath
    }
    if !survey.events.supportsDerivation || vm.knownFrom != losses.epoch || !isOfKnownHost {
      result.tableBasis = .assumed
    }
    return result
  }
}

extension Replayer where Backend: ~Copyable {
  fileprivate borrowing func lockOfAllVMs() -> LockResult? {
    var all = LockTimes(longest: 0)
    for vm in vms { all.merge(vm.lockTimes) }
    return all.result(lockModes)
  }
}

extension VMResult {
  fileprivate init<Backend: ReplayedBackend & ~Copyable>(
    _ vm: GuestVM<Backend>, _ model: ReplayProfile, isTraced: Bool, lastInterval: Int,
    _ lockModes: RecordedLockModes
  ) {
    let kinds = OperationKind.allCases.map { ($0, vm.tally.operations[Int($0.rawValue)]) }
    let reasons = FaultOutcome.Reason.allCases.map { ($0.name, vm.tally.nothing[Int($0.rawValue)]) }
    self.init(
      id: vm.id, creator: vm.creator, since: vm.since, lastSeen: max(vm.since, vm.lastSeen),
      wasRunning: vm.wasRunning, isProtected: model.modelsProtected(vm.isProtected),
      vcpus: vm.vcpus, slots: vm.slotHistory, slotEvidence: vm.slotEvidence,
      faults: vm.tally.faults, accesses: vm.tally.accesses, modelledFaults: vm.tally.modelledFaults,
      operations: Dictionary(uniqueKeysWithValues: kinds.filter { $0.1.count > 0 }),
      faultsWithoutOperation: Dictionary(uniqueKeysWithValues: reasons.filter { $0.1 > 0 }),
      hypercalls: vm.backend.hypercallCounts.map { counts in
        Dictionary(uniqueKeysWithValues: Hypercall.allCases.map { ($0.name, counts[$0]) }.filter { $0.1 > 0 })
      },
      memory: vm.end == nil ? vm.backend.memory : vm.backend.memory.released(),
      end: vm.end, lastMemory: vm.end == nil ? nil : vm.backend.memory,
      treeDepth: vm.backend.mappingTreeDepth(),
      memorySeries: vm.memorySeries, workingSet: vm.workingSet.result(last: lastInterval),
      lock: isTraced ? vm.lockTimes.result(lockModes) : nil,
      work: Dictionary(
        uniqueKeysWithValues: kinds.filter { $0.1.count > 0 }.map {
          ($0.0, vm.tally.work[Int($0.0.rawValue)])
        }), doubts: vm.tally.doubts, sections: vm.sections)
  }
}

extension Agreement {
  fileprivate var result: AgreementResult? {
    guard hasRecorded else { return nil }
    let kinds = OperationKind.allCases.map { ($0, scores[Int($0.rawValue)]) }
    return AgreementResult(
      scores: Dictionary(uniqueKeysWithValues: kinds.filter { $0.1.recorded > 0 || $0.1.predicted > 0 }),
      mismatches: mismatches, mismatchCount: mismatchCount, timings: timings)
  }
}

extension FaultOutcome.Reason {
  /// The name in reports.
  fileprivate var name: String {
    switch self {
    case .noSlot: "noSlot"
    case .unknownSlots: "unknownSlots"
    case .readOnlySlot: "readOnlySlot"
    case .ownUnmap: "ownUnmap"
    case .faultedAgain: "faultedAgain"
    case .failed: "failed"
    case .otherFault: "otherFault"
    }
  }
}
