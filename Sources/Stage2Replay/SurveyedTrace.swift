internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What the first pass over a trace found: what has to be known before the first event can be modelled.
struct SurveyedTrace {
  let survey: TraceSurvey
  let evidence: VCPUEvidence
  let memslots: MemslotSource
  /// What the trace says of the kernel and the machine.
  let profile: ProfileEvidence

  /// Makes the pass, over the records that every replay reads.
  ///
  /// - Parameter stated: the page size that the user states.
  init(_ source: some EventSource, stated: PageSize?, options: ReplayOptions) {
    let host = HostPageSize(of: source, stated: stated)
    let pageSize = host.pageSize
    var survey = TraceSurvey(kvms: options.memslots?.vms.compactMap(\.kvm) ?? [], pageSize: pageSize)
    var memslotSurvey =
      options.memslots == nil
      ? MemslotSurvey(pageSize: pageSize, infers: options.infersMemslots, recordsHistory: false) : nil
    var evidence = VCPUEvidence(pageSize: pageSize) { source.command(of: $0) }
    let surveyed = source.forEachRun(.replay(probes: false)) { run in
      let records = run.records
      survey.noteDamage(run.damageCount, of: records[0].cpu, before: records[0].time)
      for index in records.indices {
        if records[index].kind == .marker { survey.markers.note(run.marker(index)) }
        survey.consume(records[index])
        evidence.consume(records[index])
        memslotSurvey?.consume(records[index])
      }
    }
    survey.finish(
      damage: source.damage + surveyed.damage, cpus: source.cpuCount, known: source.recordableKinds)
    evidence.finish()
    self.survey = survey
    self.evidence = evidence
    memslots = memslotSurvey?.source ?? .history(options.memslots ?? MemslotHistory())
    profile = ProfileEvidence(survey: survey, kernel: KernelRelease(uname: source.uname), host: host)
  }

  /// The intervals of all series.
  func grid(_ options: ReplayOptions) -> TimeGrid {
    let first = survey.first ?? Nanoseconds(0)
    return TimeGrid(
      from: max(first, options.from ?? first), to: min(survey.last, options.to ?? survey.last))
  }
}
