internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// A replay of which all is settled that has to be settled before the first event.
struct PreparedReplay {
  let context: ReplayContext
  let found: SurveyedTrace
  let lockModes: RecordedLockModes
  let probes: ProbeRecording

  /// The kernel and machine that are modelled.
  var model: ReplayProfile { context.model }

  /// - Parameter found: what the survey found, of all events or of the first ones.
  init(
    _ found: SurveyedTrace, _ probes: ProbeRecording, _ request: ProfileRequest, _ options: ReplayOptions
  ) throws(ProfileProblem) {
    self.found = found
    self.probes = probes
    // A part that was cut out of a recording is replayed as if `from` and `to` said so.
    let part = TracePart(from: options.from, to: options.to, of: found.survey.markers.slice)
    var options = options
    (options.from, options.to) = (part.from, part.to)
    let profile = try ReplayProfile(request, found.profile)
    lockModes = try RecordedLockModes(request, found.profile)
    var model = profile
    if let other = options.otherKernel {
      model = try ReplayProfile(other.request, found.profile, on: profile)
    }
    let hostKnowledge = HostKnowledge(
      isDICKnown: profile.basis[.dic] ?? .assumed != .assumed,
      release: request.kernel.map(\.release) ?? found.profile.kernel,
      isEraStated: request.statesEra, profile.profile)
    context = ReplayContext(
      profile: profile, model: model, hostKnowledge: hostKnowledge, options: options, survey: found.survey,
      part: part,
      grid: found.grid(part))
  }
}

/// A replay that takes events in, whatever it models: functions in place of a protocol, so that they are compiled for the
/// backend that they drive. They are called once for each run of events.
struct RunningReplay {
  /// Takes in consecutive events.
  let consume: (_ records: UnsafeBufferPointer<TraceRecord>) throws -> Void
  /// Events are missing that the survey still found: from here on nothing is known.
  let loseRest: () -> Void
  /// Events of a CPU are missing until a moment, for damage.
  let loseLocks: (_ cpu: CPUIndex, _ until: Nanoseconds) -> Void
  /// The survey, which is ahead, found out more.
  let learn: (_ survey: TraceSurvey, _ evidence: VCPUEvidence) -> Void
  /// The survey found that events are missing between two moments, of which the first may be past.
  let lose: (_ gap: Range<UInt64>) -> Void
  /// All events have been taken in.
  let finish: () throws -> ReplayResult

  init<Backend: Stage2Backend & ~Copyable>(
    _ prepared: PreparedReplay, _ onOperation: ((Stage2Operation) throws -> Void)?,
    _ observer: ReplayObserver,
    _ makeBackend: @escaping (VMToModel) -> Backend
  ) throws {
    let kept = Kept(
      Replayer(
        prepared.context, vcpuEvidence: prepared.found.evidence, memslots: prepared.found.memslots,
        lockModes: prepared.lockModes, probes: prepared.probes, collectsOperations: onOperation != nil,
        makeBackend: makeBackend))
    try observer.onBegin?(prepared.model)
    let observes = onOperation != nil || !observer.kinds.isEmpty
    func emit() throws {
      guard observes else { return }
      let observed = kept.replayer.pointee.takeObserved()
      try observer.tell(observed)
      if let onOperation { for operation in observed.operations { try onOperation(operation) } }
    }
    consume = { records in
      kept.replayer.pointee.consume(records)
      try emit()
    }
    loseRest = { kept.replayer.pointee.loseRest() }
    loseLocks = { kept.replayer.pointee.loseLocks(of: $0, until: $1) }
    learn = { kept.replayer.pointee.learn($0, $1) }
    lose = { kept.replayer.pointee.lose($0) }
    finish = {
      kept.replayer.pointee.finish()
      try emit()
      return kept.replayer.pointee.result(lockModes: prepared.lockModes)
    }
  }
}

/// A place for a replay that several functions drive, one after the other: what a class holds in place would be checked for
/// exclusive access with each of its parts.
///
/// Invariant: `replayer` is initialised until deinit.
private final class Kept<Backend: Stage2Backend & ~Copyable> {
  let replayer: UnsafeMutablePointer<Replayer<Backend>>

  init(_ replayer: consuming Replayer<Backend>) {
    self.replayer = .allocate(capacity: 1)
    self.replayer.initialize(to: replayer)
  }

  deinit {
    replayer.deinitialize(count: 1)
    replayer.deallocate()
  }
}
