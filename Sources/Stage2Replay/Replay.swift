public import KVMTrace
internal import KVMTypes
public import Stage2Model

/// Replays a trace: reads its events once to learn about the host, and once more to drive the models; in one go where they
/// can be read only once.
public enum Replay {
  /// Replays what `source` delivers on the built-in model of the kernel's path.
  ///
  /// - Parameters:
  ///   - request: what is known about the host besides the trace.
  ///   - options: what to leave out, and how far to look ahead.
  ///   - observer: looks at what else happens.
  ///   - onOperation: receives every operation, in the order in which it was applied.
  /// - Throws: an `UnreplayableTrace` for one of another kind of host or without KVM's events, a `ProfileProblem` for a
  ///   profile that contradicts itself or the trace, and what `onOperation` throws.
  /// - Returns: what was found, and what the pass over the file counted.
  public static func run(
    _ source: some EventSource, profile request: ProfileRequest, options: ReplayOptions,
    observer: ReplayObserver = ReplayObserver(), onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    try checked(source) {
      try run(over: source, profile: request, options: options, observer: observer, onOperation: onOperation)
    }
  }

  /// Replays what `source` delivers on a backend of one's own, under the same callers as the built-in ones. Which kernel
  /// calls it is the profile's affair. VMs are executed one after the other, whatever `options.jobs` says: their tables may
  /// share what they like.
  ///
  /// - Parameters:
  ///   - request: what is known about the host besides the trace.
  ///   - options: what to leave out, and how far to look ahead.
  ///   - observer: looks at what else happens.
  ///   - onOperation: receives every operation, in the order in which it was applied.
  ///   - makeBackend: an empty table for each VM that appears; it is called on one thread.
  /// - Throws: as the other `run`.
  /// - Returns: what was found, and what the pass over the file counted.
  public static func run<Backend: Stage2Backend & ~Copyable>(
    _ source: some EventSource, profile request: ProfileRequest, options: ReplayOptions,
    observer: ReplayObserver = ReplayObserver(), onOperation: ((Stage2Operation) throws -> Void)? = nil,
    backend makeBackend: @escaping (VMToModel) -> Backend
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    try checked(source) {
      var options = options
      options.jobs = 1
      options.observed = observer.kinds
      return try drive(source, request, options) {
        try RunningReplay($0, onOperation, observer, makeBackend)
      }
    }
  }

  /// Replays what `source` delivers, whatever host it says that it is of.
  package static func run(
    over source: some EventSource, profile request: ProfileRequest, options: ReplayOptions,
    observer: ReplayObserver = ReplayObserver(), onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    // What operations cost includes the nodes that they visit.
    let keepsTree = options.measuresWork
    var options = options
    options.observed = observer.kinds
    return try drive(source, request, options) { prepared in
      prepared.model.isPKVM
        ? try RunningReplay(prepared, onOperation, observer) { $0.makePKVM(keepsMappingTree: keepsTree) }
        : try RunningReplay(prepared, onOperation, observer) { $0.makeTraditional() }
    }
  }

  /// Drives a replay that `begin` makes when all is settled that has to be settled before the first event.
  ///
  /// The source is existential, so that a replay is specialised for the backend whatever the source is; it is asked once for
  /// each run of events.
  private static func drive(
    _ source: any EventSource, _ request: ProfileRequest, _ options: ReplayOptions,
    _ begin: (PreparedReplay) throws -> RunningReplay
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    guard source.canBeReadTwice else { return try runOnce(over: source, request, options, begin) }
    return try source.withSeveralPasses { try runTwice(over: source, request, options, begin) }
  }

  /// Replays what `source` delivers in a second pass, by what the first one found.
  static func runTwice(
    over source: any EventSource, _ request: ProfileRequest, _ options: ReplayOptions,
    _ begin: (PreparedReplay) throws -> RunningReplay
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    let found = SurveyedTrace(source, stated: request.pageSize, options: options)
    let probes = found.hasOperationProbes == false ? .none : ProbeRecording(source)
    let prepared = try PreparedReplay(found, probes, request, options)
    let replay = try begin(prepared)
    var selection = EventSelection.replay(probes: !options.ignoresProbes, reader: prepared.context.reader)
    selection.isLast = true
    selection.mixesCPUs = true
    var damaged = DamagedRuns()
    let statistics = try source.forEachRun(selection) { run in
      if !found.survey.knows(damage: run.damageCount, of: run.records[0].stream) { replay.loseRest() }
      if damaged.isBehindDamage(run) { replay.loseLocks(run.records[0].cpu, run.records[0].time) }
      try replay.consume(run.records)
    }
    var result = try replay.finish()
    result.missingEvents = found.survey.events.costs(memslots: found.memslots)
    result.gaps = found.survey.gaps.ranges(of: found.survey.events)
    return (result, statistics)
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
