internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// A source that can be read only once: what its first events show decides how it is replayed, and the survey goes on, always
// `ReplayOptions.recordsAhead` events before the replay. So a loss is known before the events are replayed that it makes
// doubtful, unless the CPU was silent for longer before it.

extension Replay {
  /// Replays what `source` delivers in one pass.
  static func runOnce(
    over source: any EventSource, _ request: ProfileRequest, _ options: ReplayOptions,
    _ begin: (PreparedReplay) throws -> RunningReplay
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    var prefix = TracePrefix(of: source)
    var ahead: SurveyAhead?
    var decided: (profile: ReplayProfile, memslots: MemslotSource, isUnordered: Bool)?
    let statistics = try source.forEachRun(.replay(probes: !options.ignoresProbes)) { run in
      if ahead != nil { return try ahead!.consume(run) }
      prefix.append(run)
      if prefix.buffer.count < max(options.recordsAhead, 1) { return }
      ahead = try SurveyAhead(after: &prefix, of: source, stated: request.pageSize, options) { found in
        let prepared = try PreparedReplay(found, ProbeRecording(source), request, options)
        decided = (prepared.context.profile, found.memslots, prepared.context.events.isUnordered)
        return try begin(prepared)
      }
    }
    guard var ahead, let decided else {
      // All of it was there before anything had to be decided: that is as good as two passes.
      prefix.statistics = statistics
      return try runTwice(over: prefix, request, options, begin)
    }
    var (result, found) = try ahead.finish(statistics)
    result.missingEvents = found.survey.events.costs(memslots: decided.memslots)
    result.contradictions = contradictions(request, decided.profile, decided.memslots, found)
    if found.survey.clock.isUnordered, !decided.isUnordered {
      result.contradictions.append("clock: later events show that it does not order those of different CPUs")
    }
    return (result, statistics)
  }

  /// Where all events say otherwise than the first ones.
  private static func contradictions(
    _ request: ProfileRequest, _ decided: ReplayProfile, _ memslots: MemslotSource, _ found: SurveyedTrace
  ) -> [String] {
    var list: [String] = []
    if memslots.probe != found.memslots.probe {
      list.append("memslots: probes tell of them that came too late")
    } else if memslots.probe != nil, memslots.recorded != found.memslots.recorded {
      list.append("memslots: later events tell of some that were there from the beginning")
    }
    guard let profile = try? ReplayProfile(request, found.profile) else {
      return list + ["profile: what is stated of the host contradicts later events"]
    }
    for field in Profile.fields {
      let (before, after) = (field.value(in: decided.profile), field.value(in: profile.profile))
      if before != after { list.append("\(field.id.rawValue): later events say otherwise") }
    }
    return list
  }
}
