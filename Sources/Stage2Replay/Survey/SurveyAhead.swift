internal import KVMTrace
internal import KVMTypes

/// The survey of a source that can be read only once: it decides after the first events, and goes on ahead of the replay that
/// has begun then.
struct SurveyAhead {
  private let source: any EventSource
  private let options: ReplayOptions
  private let host: HostPageSize
  private var pass: FirstPass
  private var buffer: RecordBuffer
  private let replay: RunningReplay
  /// How much the survey had found when the replay was told last.
  private var told: Int
  /// The gaps that were found since the replay began, and those before.
  private var gaps: LossGaps
  private var damaged = DamagedRuns()

  /// Decides by what `prefix` has, and begins a replay.
  init(
    after prefix: inout TracePrefix, of source: any EventSource, stated: PageSize?, _ options: ReplayOptions,
    begin: (SurveyedTrace) throws -> RunningReplay
  ) rethrows {
    self.source = source
    self.options = options
    host = HostPageSize(of: prefix, stated: stated)
    var pass = FirstPass(of: source, pageSize: host.pageSize, options: options)
    _ = pass.consume(prefix)
    pass.decide()
    replay = try begin(SurveyedTrace(pass.finished(source), host, source, options))
    gaps = pass.survey.gaps
    _ = pass.takeGaps()
    told = pass.revision
    self.pass = pass
    buffer = prefix.takeBuffer()
  }

  /// Takes in events, and replays as many as are too many to wait.
  mutating func consume(_ run: EventRun) throws {
    pass.consume(run)
    // It is told early, so that of what waits some counts as unknown that is not.
    if damaged.isBehindDamage(run) { replay.loseLocks(run.records[0].cpu, run.records[0].time) }
    buffer.append(run.records)
    while buffer.count >= max(options.recordsAhead, 1) { try replayBlock() }
  }

  /// The source has ended: the rest is replayed.
  ///
  /// - Parameter statistics: what its one pass found.
  mutating func finish(_ statistics: EventStatistics) throws -> (result: ReplayResult, survey: SurveyedTrace)
  {
    pass.finish(damage: source.damage, statistics, cpus: source.cpuCount, account: source.account)
    let found = SurveyedTrace(pass, host, source, options)
    tellGaps()
    replay.learn(found.survey, found.evidence)
    let replay = replay
    while buffer.count > 0 { try buffer.popFirst { try replay.consume($0) } }
    var result = try replay.finish()
    result.gaps = gaps.ranges(of: found.survey.events)
    return (result, found)
  }

  private mutating func replayBlock() throws {
    tellGaps()
    if pass.revision != told {
      told = pass.revision
      // Where it has the memslots from, a replay settled before its first event: they are not inferred once more.
      let found = pass.finished(source)
      replay.learn(found.survey, found.evidence)
    }
    let replay = replay
    try buffer.popFirst { try replay.consume($0) }
  }

  private mutating func tellGaps() {
    for gap in pass.takeGaps() {
      gaps.insert(gap)
      replay.lose(gap)
    }
  }
}
