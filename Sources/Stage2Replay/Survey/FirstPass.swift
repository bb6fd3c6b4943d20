internal import KVMTrace
internal import KVMTypes

/// The first pass over a trace: gives each event to all who have to see it, with the one record of fault windows.
struct FirstPass {
  private(set) var survey: TraceSurvey
  private(set) var evidence: VCPUEvidence
  private var memslots: MemslotSurvey
  /// Whether slots are known from elsewhere.
  private let hasMemslots: Bool
  /// From when on nothing is certain, as a copy says of its recording.
  private let uncertainFrom: Nanoseconds?
  private var windows = FaultWindows()

  init(of source: some EventSource, pageSize: PageSize, options: ReplayOptions) {
    survey = TraceSurvey(
      kvms: options.memslots?.vms.compactMap(\.kvm) ?? [], pageSize: pageSize, clock: source.clock)
    evidence = VCPUEvidence(pageSize: pageSize) { source.command(of: $0) }
    memslots = MemslotSurvey(pageSize: pageSize, infers: options.infersMemslots, recordsHistory: false)
    hasMemslots = options.memslots != nil
    uncertainFrom = source.account.uncertainFrom
  }

  /// Takes in all events of a source that every replay reads.
  mutating func consume(_ source: some EventSource, reader: WorkerThread? = nil) -> EventStatistics {
    var selection = EventSelection.replay(probes: false, reader: reader)
    selection.mixesCPUs = true
    return source.forEachRun(selection) { consume($0) }
  }

  /// Takes in consecutive events, of one stream where there is damage.
  mutating func consume(_ run: EventRun) {
    let records = run.records
    survey.noteDamage(run.damageCount, of: records[0].stream, before: records[0].time)
    if run.damageCount > 0 { memslots.lose() }
    /// Where the last events that are of one stream begin.
    var begin = 0
    survey.beginRun(of: records[0].cpu, at: records[0].time)
    for index in records.indices {
      if records[index].stream != records[begin].stream {
        survey.endRun(of: records[begin].stream, at: records[index - 1].time)
        begin = index
        survey.beginRun(of: records[begin].cpu, at: records[begin].time)
      }
      switch records[index].kind {
      case .entry:
        enterOrExit(records[index].tid, at: records[index].time, isEntry: true)
        if survey.faults.nesting.isSeen { survey.enterNested(windows.thread, at: records[index].entryPC) }
        if collects { collect(records[index]) }
      case .exit:
        enterOrExit(records[index].tid, at: records[index].time, isEntry: false)
        survey.note(records[index].vcpuExit, windows.thread, at: records[index].time)
        if collects { collect(records[index]) }
      case .guestFault: fault(records.baseAddress! + index)
      case .marker:
        let marker = run.marker(index)
        survey.note(marker, at: records[index].time)
        if case .threads(let list)? = marker, list.role == .vcpus, survey.markers.slice != nil {
          evidence.note(vcpus: list.threads, by: records[index].tid)
        }
        consume(records[index], previous: index > begin ? records[index - 1].time : nil)
      default: consume(records[index], previous: index > begin ? records[index - 1].time : nil)
      }
    }
    survey.endRun(of: records[begin].stream, at: records[records.count - 1].time)
  }

  /// kvm_entry or kvm_exit: most of all events, which mostly end no fault's window.
  @inline(__always)
  private mutating func enterOrExit(_ tid: ThreadID, at time: Nanoseconds, isEntry: Bool) {
    if let end = windows.end(byRunOf: tid, isEntry: isEntry), let thread = windows.thread {
      close(thread, end, at: time)
      windows.close()
    }
    survey.consumeRun(of: tid, at: time, isEntry: isEntry)
  }

  private mutating func collect(_ record: TraceRecord) {
    memslots.consume(record, windows)
    windows.take(record)
  }

  /// kvm_guest_fault. Of the record, which is big, most are asked for a few fields alone.
  @inline(__always)
  private mutating func fault(_ record: UnsafePointer<TraceRecord>) {
    let fault = record.pointee.guestFault
    let time = record.pointee.time
    if let end = windows.end(byFaultOf: record.pointee.tid), let thread = windows.thread {
      close(thread, end, at: time)
    }
    let isNested = survey.faults.nesting.isNested(windows.thread)
    survey.consume(fault, of: record.pointee.tid, windows.thread, at: time, isNested: isNested)
    // Its address is that of no memslot.
    if isNested { return windows.close() }
    if evidence.isAsked { evidence.consume(record.pointee, windows) }
    if collects { memslots.consume(record.pointee, windows) }
    windows.open(fault, at: time)
  }

  /// Any other event.
  private mutating func consume(_ record: TraceRecord, previous: Nanoseconds?) {
    if record.kind.isOperationProbe { return }
    if let end = windows.end(by: record), let thread = windows.thread {
      close(thread, end, at: record.time)
    }
    survey.consume(record, windows.thread, previous: previous)
    evidence.consume(record, windows)
    if collects || !hasMemslots && (record.kind.isLifeProbe || record.kind == .lost) {
      if let uncertainFrom, record.time >= uncertainFrom { memslots.lose() }
      memslots.consume(record, windows)
    }
    windows.take(record)
  }

  /// Whether events have to tell of slots.
  @inline(__always)
  private var collects: Bool { !hasMemslots && memslots.isCollecting }

  @inline(__always)
  private mutating func close(_ thread: ThreadIndex, _ end: FaultWindows.End, at time: Nanoseconds) {
    survey.close(windows, thread, end, at: time)
    if evidence.isInFault(thread) { evidence.close(windows[thread], thread) }
    if collects { memslots.close(windows[thread], thread, end) }
  }

  /// All events have been seen.
  ///
  /// - Parameters:
  ///   - damage: the damaged places of what describes the trace.
  ///   - statistics: what the pass counted.
  ///   - account: what the trace tells of the events that are not in it.
  mutating func finish(
    damage: [Damage], _ statistics: EventStatistics, cpus: Int, account: SourceAccount
  ) {
    survey.finish(damage: damage, statistics, cpus: cpus, account, windows)
    evidence.finish()
  }

  // MARK: Where the survey goes on while events are replayed

  /// What was not seen by now may be recorded nevertheless, or not: nothing follows from its absence.
  mutating func decide() { survey.decide() }

  /// The pass as if all events of `source` had been seen. Damage of its metadata counts at its real end: events may be missing
  /// anywhere for it, which says nothing of those to come.
  func finished(_ source: some EventSource) -> FirstPass {
    var copy = self
    copy.finish(damage: [], EventStatistics(), cpus: source.cpuCount, account: source.account)
    return copy
  }

  /// Grows with what is found that a replay has to know in the course of the trace.
  var revision: Int { survey.revision + evidence.revision }

  /// Takes out the gaps that were found since the last time.
  mutating func takeGaps() -> [Range<UInt64>] { survey.takeGaps() }

  /// Where a replay has the memslots from, unless they are given.
  var memslotSource: MemslotSource? { hasMemslots ? nil : memslots.source(windows) }
}
