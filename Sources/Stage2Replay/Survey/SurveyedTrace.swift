internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What the first pass over a trace found: what has to be known before the first event can be modelled.
struct SurveyedTrace {
  let survey: TraceSurvey
  let evidence: VCPUEvidence
  let memslots: MemslotSource
  /// Whether probes on the kernel's own stage-2 operations occur, nil where that is not known.
  private(set) var hasOperationProbes: Bool?
  /// What the trace says of the kernel and the machine.
  let profile: ProfileEvidence

  /// Makes the pass, over the records that every replay reads.
  ///
  /// - Parameter stated: the page size that the user states.
  init(_ source: some EventSource, stated: PageSize?, options: ReplayOptions) {
    let host = HostPageSize(of: source, stated: stated)
    var pass = FirstPass(of: source, pageSize: host.pageSize, options: options)
    let statistics = pass.consume(source, reader: options.jobs > 1 ? WorkerThread() : nil)
    pass.finish(damage: source.damage, statistics, cpus: source.cpuCount, account: source.account)
    self.init(pass, host, source, options)
    hasOperationProbes = statistics.operationProbes.map { $0 > 0 }
  }

  /// What a pass found that has been finished.
  init(_ pass: FirstPass, _ host: HostPageSize, _ source: some EventSource, _ options: ReplayOptions) {
    survey = pass.survey
    evidence = pass.evidence
    memslots = pass.memslotSource ?? .history(options.memslots ?? MemslotHistory())
    profile = ProfileEvidence(
      survey: survey, kernel: KernelRelease(uname: source.uname), host: host,
      showsEmptyTable: memslots.showsCreation)
  }

  /// The intervals of all series. Where the replay begins before the trace was read, they end with what has been read, and
  /// the last one stands for all that follows.
  func grid(_ part: TracePart) -> TimeGrid {
    let span = part.span(first: survey.first ?? Nanoseconds(0), last: survey.last)
    return TimeGrid(
      from: Nanoseconds(span.lowerBound), to: Nanoseconds(span.upperBound),
      isOfTicks: survey.clock.countsTicks)
  }
}
