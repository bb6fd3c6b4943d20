public import KVMTrace
internal import KVMTypes
public import Stage2Model

/// Replays a trace: reads its events once to learn about the host, and once more to drive the models.
public enum Replay {
  /// Replays what `source` delivers.
  ///
  /// - Parameters:
  ///   - request: what is known about the host besides the trace.
  ///   - options: what to leave out, and how far to look ahead.
  ///   - onOperation: receives every operation, in the order in which it was applied.
  /// - Throws: an `UnreplayableTrace` for one of another kind of host or without KVM's events, a `ProfileProblem` for a
  ///   profile that contradicts itself or the trace, and what `onOperation` throws.
  /// - Returns: what was found, and what the pass over the file counted.
  public static func run(
    _ source: some EventSource, profile request: ProfileRequest, options: ReplayOptions,
    onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    if let reason = UnreplayableTrace(machineOf: source) { throw reason }
    let found = try run(over: source, profile: request, options: options, onOperation: onOperation)
    if let reason = UnreplayableTrace(source, found.result, found.statistics) { throw reason }
    return found
  }

  /// Replays what `source` delivers, whatever host it says that it is of.
  package static func run(
    over source: some EventSource, profile request: ProfileRequest, options: ReplayOptions,
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

  /// What `requests` come to on the host of `source`: the profile of the traced kernel, then one for each request, on the
  /// machine of the first. Nothing is replayed.
  ///
  /// - Throws: a `ProfileProblem` for a profile that contradicts itself or the trace.
  public static func profiles(
    of source: some EventSource, traced: ProfileRequest, others requests: [ProfileRequest]
  ) throws(ProfileProblem) -> (traced: ReplayProfile, others: [ReplayProfile]) {
    let surveyed = SurveyedTrace(source, stated: traced.pageSize, options: ReplayOptions())
    let profile = try ReplayProfile(traced, surveyed.profile)
    var others: [ReplayProfile] = []
    for request in requests { others.append(try ReplayProfile(request, surveyed.profile, on: profile)) }
    return (profile, others)
  }

  private static func run<Backend: Stage2Backend & ~Copyable>(
    _ source: any EventSource, _ profile: ReplayProfile, _ model: ReplayProfile,
    _ lockModes: RecordedLockModes, _ surveyed: SurveyedTrace, _ options: ReplayOptions,
    _ onOperation: ((Stage2Operation) throws -> Void)?,
    makeBackend: @escaping (_ isProtected: Bool) -> Backend
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    let context = ReplayContext(
      profile: profile, model: model, options: options, survey: surveyed.survey, grid: surveyed.grid(options))
    var replayer = Replayer(
      context, vcpuEvidence: surveyed.evidence, memslots: surveyed.memslots, lockModes: lockModes,
      probes: ProbeRecording(source), collectsOperations: onOperation != nil, makeBackend: makeBackend)
    let statistics = try source.forEachRun(.replay(probes: !options.ignoresProbes)) { run in
      if !surveyed.survey.knows(damage: run.damageCount, of: run.records[0].cpu) { replayer.loseRest() }
      replayer.consume(run.records)
      if let onOperation { for operation in replayer.takeOperations() { try onOperation(operation) } }
    }
    replayer.finish()
    if let onOperation { for operation in replayer.takeOperations() { try onOperation(operation) } }
    var result = replayer.result(lockModes: lockModes)
    result.missingEvents = surveyed.survey.events.costs(memslots: surveyed.memslots)
    return (result, statistics)
  }
}
