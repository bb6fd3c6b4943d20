public import KVMTrace
internal import KVMTypes
public import Stage2Model

/// Replays a trace: reads its events once to learn about the host, and once more to drive the models.
public enum Replay {
  /// Replays what `source` delivers on the built-in model of the kernel's path.
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
    try checked(source) {
      try run(over: source, profile: request, options: options, onOperation: onOperation)
    }
  }

  /// Replays what `source` delivers on a backend of one's own, under the same callers as the built-in ones. Which kernel
  /// calls it is the profile's affair.
  ///
  /// - Parameters:
  ///   - request: what is known about the host besides the trace.
  ///   - options: what to leave out, and how far to look ahead.
  ///   - onOperation: receives every operation, in the order in which it was applied.
  ///   - makeBackend: an empty table for each VM that appears; it is called on one thread.
  /// - Throws: as the other `run`.
  /// - Returns: what was found, and what the pass over the file counted.
  public static func run<Backend: Stage2Backend & ~Copyable>(
    _ source: some EventSource, profile request: ProfileRequest, options: ReplayOptions,
    onOperation: ((Stage2Operation) throws -> Void)? = nil,
    backend makeBackend: @escaping (VMToModel) -> Backend
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    try checked(source) {
      let prepared = try PreparedReplay(source, request, options)
      return try prepared.run(source, onOperation, makeBackend)
    }
  }

  /// Replays what `source` delivers, whatever host it says that it is of.
  package static func run(
    over source: some EventSource, profile request: ProfileRequest, options: ReplayOptions,
    onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    let prepared = try PreparedReplay(source, request, options)
    // What operations cost includes the nodes that they visit.
    let keepsTree = options.measuresWork
    return prepared.model.isPKVM
      ? try prepared.run(source, onOperation) { $0.makePKVM(keepsMappingTree: keepsTree) }
      : try prepared.run(source, onOperation) { $0.makeTraditional() }
  }

  private static func checked(
    _ source: some EventSource,
    _ body: () throws -> (result: ReplayResult, statistics: EventStatistics)
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    if let reason = UnreplayableTrace(machineOf: source) { throw reason }
    let found = try body()
    if let reason = UnreplayableTrace(source, found.result, found.statistics) { throw reason }
    return found
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
}

/// A VM that appears in a trace and needs a table.
public struct VMToModel: Sendable {
  /// The kernel and the machine that are modelled.
  public let profile: ReplayProfile
  /// The shape of the VM's stage-2 table.
  public var geometry: Stage2Geometry { profile.geometry }
  /// Whether it is a protected guest of that kernel.
  public let isProtected: Bool

  /// A VM under pKVM.
  ///
  /// - Parameter keepsMappingTree: whether the kernel's own tree is kept beside the model's faster index, for its depth and
  ///   the nodes that searches visit.
  public func makePKVM(keepsMappingTree: Bool = false) -> PKVMStage2 {
    profile.makePKVM(isProtected: isProtected, keepsMappingTree: keepsMappingTree)
  }

  /// A VM on a host without pKVM.
  public func makeTraditional() -> TraditionalStage2 { profile.makeTraditional() }
}

/// A replay of which all is settled that has to be settled before the first event.
private struct PreparedReplay {
  let context: ReplayContext
  let surveyed: SurveyedTrace
  let lockModes: RecordedLockModes

  var model: ReplayProfile { context.model }

  init(_ source: any EventSource, _ request: ProfileRequest, _ options: ReplayOptions) throws {
    // What the traced kernel was timed at says nothing about another one.
    var options = options
    if options.otherKernel != nil { options.ignoresProbes = true }
    let surveyed = SurveyedTrace(source, stated: request.pageSize, options: options)
    self.surveyed = surveyed
    let profile = try ReplayProfile(request, surveyed.profile)
    lockModes = try RecordedLockModes(request, surveyed.profile)
    let other = try options.otherKernel.map { try ReplayProfile($0.request, surveyed.profile, on: profile) }
    context = ReplayContext(
      profile: profile, model: other ?? profile, options: options, survey: surveyed.survey,
      grid: surveyed.grid(options))
  }

  /// - Parameter source: existential, so that all below is specialised for the backend, whatever the source is; it is asked
  ///   once for each run of events.
  func run<Backend: Stage2Backend & ~Copyable>(
    _ source: any EventSource, _ onOperation: ((Stage2Operation) throws -> Void)?,
    _ makeBackend: @escaping (VMToModel) -> Backend
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    var replayer = Replayer(
      context, vcpuEvidence: surveyed.evidence, memslots: surveyed.memslots, lockModes: lockModes,
      probes: ProbeRecording(source), collectsOperations: onOperation != nil, makeBackend: makeBackend)
    let statistics = try source.forEachRun(.replay(probes: !context.options.ignoresProbes)) { run in
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
