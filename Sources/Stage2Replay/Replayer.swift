internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Drives the events of a trace through one model for each VM: data goes down, stage by stage.
///
/// 1. `Attribution`, at once: which VM, which slot, which frames, what else happened in the fault's window.
/// 2. `Lookahead`: a fault waits from the end of its window, a notification from its event, until what decides it has
///    usually been seen; then it is decided.
/// 3. `VMExecution`, one for each VM: holds each fault against the model and performs the operation.
/// 4. Observers look at what comes of it: agreement with probes on the kernel's own operations, time under the lock,
///    markers. They change nothing.
struct Replayer<Backend: Stage2Backend & ~Copyable>: ~Copyable {
  private let context: ReplayContext
  private var attribution: Attribution
  private var pool: ExecutionPool<Backend>
  /// The steps that were handed to the pool last.
  private var steps = ExecutionQueue()
  private let makeBackend: (VMToModel) -> Backend
  private var agreement: Agreement
  private var streamEnds: StreamEnds
  private var locks: LockObserver
  private var markers: MarkerObserver
  /// Whether performed operations are kept until `takeObserved`.
  private let collectsOperations: Bool
  /// What was performed, and what else somebody looks at, until `takeObserved`.
  private var observed = Observed()
  /// How many VMs were told to somebody who looks at them.
  private var toldVMs = 0
  /// So many steps wait before they are executed.
  private let stepsMax: Int

  init(
    _ context: ReplayContext, vcpuEvidence: VCPUEvidence, memslots: MemslotSource,
    lockModes: RecordedLockModes,
    probes: ProbeRecording, collectsOperations: Bool, makeBackend: @escaping (VMToModel) -> Backend
  ) {
    self.context = context
    self.makeBackend = makeBackend
    self.collectsOperations = collectsOperations
    attribution = Attribution(context, vcpuEvidence: vcpuEvidence, memslots: memslots)
    pool = ExecutionPool(workers: context.executors)
    locks = LockObserver(lockModes, grid: context.grid, context.options)
    markers = MarkerObserver(context)
    streamEnds = StreamEnds(before: context.options.to)
    agreement = Agreement(
      probes,
      // What the traced kernel did says nothing about another one.
      isWanted: !context.options.ignoresProbes && context.options.otherKernel == nil,
      keepsTimings: context.options.measuresWork)
    stepsMax = Self.stepsMax(jobs: context.options.jobs, comparesOperations: agreement.isActive)
  }

  /// How many steps wait before they are executed: few enough to stay in the cache, and where threads execute them, enough to
  /// wait for those seldom. (512 in place of 4,096 on one thread: 15 % less time where 70 % of the events are entries and
  /// exits.) Where operations are held against recorded ones it must not depend on the threads, for what meets in time does
  /// depend on it.
  static func stepsMax(jobs: Int, comparesOperations: Bool) -> Int {
    jobs > 1 && !comparesOperations ? 4096 : 512
  }

  /// Events are missing that the survey of the trace still found: from here on nothing is known.
  mutating func loseRest() { attribution.clock.loseRest() }

  /// Events of a CPU are missing until a moment, as no record of its own tells.
  mutating func loseLocks(of cpu: CPUIndex, until time: Nanoseconds) { locks.lose(cpu, until: time) }

  /// The survey, which is ahead, found out more.
  mutating func learn(_ survey: TraceSurvey, _ evidence: VCPUEvidence) {
    // Executions look at the survey.
    pool.wait()
    context.learn(survey)
    attribution.vcpuEvidence = evidence
  }

  /// The survey, which is ahead, found that events are missing between two moments, of which the first may be past.
  mutating func lose(_ gap: Range<UInt64>) { attribution.clock.lose(gap) }

  /// What happened since the last call, of the kinds that somebody looks at.
  mutating func takeObserved() -> Observed {
    var taken = Observed()
    swap(&taken, &observed)
    swap(&taken.faults, &attribution.found.faults)
    taken.divergences += attribution.divergences.takeObserved() + markers.takeDivergences()
    taken.locks = locks.takeObserved()
    if context.options.observed.contains(.vms) { taken.vms = takeNewVMs() }
    return taken
  }

  /// The VMs that appeared since the last call.
  private mutating func takeNewVMs() -> [ObservedVM] {
    defer { toldVMs = attribution.vms.count }
    return attribution.vms.indices.dropFirst(toldVMs).map { vm in
      ObservedVM(
        id: vm.position, creator: attribution.vms.creator(of: vm),
        isProtected: attribution.vms[vm].identity.isProtected)
    }
  }

  /// So many events are taken in while the memory answers for what a later one needs.
  private static var eventsAhead: Int { 8 }

  /// Takes in consecutive events.
  mutating func consume(_ records: UnsafeBufferPointer<TraceRecord>) {
    var end = 0
    while end < records.count {
      // Those of one stream.
      let begin = end
      attribution.clock.beginRun()
      repeat {
        if end + Self.eventsAhead < records.count {
          attribution.bringNear(records.baseAddress! + end + Self.eventsAhead)
        }
        consume(records[end])
        if attribution.lookahead.settled.count >= stepsMax { execute() }
        end += 1
      } while end < records.count && records[end].stream == records[begin].stream
      attribution.clock.endRun(of: records[begin].stream)
      if agreement.isActive { streamEnds.note(UnsafeBufferPointer(rebasing: records[begin..<end])) }
    }
  }

  @inline(__always)
  private mutating func consume(_ record: TraceRecord) {
    guard attribution.advance(to: record) else {
      if record.kind == .marker, context.options.from.map({ record.time < $0 }) ?? false { markers.skip() }
      return
    }
    switch record.kind {
    case .marker: marker(record)
    case .probeMap, .probeMapReturn, .probeUnmap, .probeUnmapReturn, .probeWrprotect, .probeWrprotectReturn,
      .probeTestClearYoung, .probeTestClearYoungReturn, .probeRelaxPerms, .probeRelaxPermsReturn,
      .probeMkyoung:
      probe(record)
    case .contentionBegin, .contentionEnd:
      attribution.take(record)
      contention(record)
    case .lost:
      attribution.take(record)
      locks.lose(record.cpu, until: record.time)
    default: attribution.take(record)
    }
  }

  /// Settles and executes what still waits. Must be the last call.
  mutating func finish() {
    let notifying = attribution.threads.notifyingPlaces(streamEnds)
    attribution.finish()
    locks.finish()
    attribution.settleRest()
    executeAll()
    let order = attribution.lookahead.settled.nextOrder()
    for vm in attribution.vms.indices {
      pool[vm].finish(order)
      observed.divergences += pool[vm].takeDivergences()
    }
    agreement.finish(notifying: notifying)
  }

  // MARK: Execution

  /// Takes what came of the steps before, and begins to execute those that are settled by now.
  private mutating func execute() {
    pool.wait()
    takeEffects()
    attribution.settleEnds()
    while pool.count < attribution.vms.count {
      let vm = attribution.vms[VMIndex(pool.count)]
      let isProtected = context.model.modelsProtected(vm.identity.isProtected)
      let backend = makeBackend(VMToModel(profile: context.model, isProtected: isProtected))
      pool.append(
        VMExecution(
          vm, context, of: context.model, backend: backend, keepsOperations: keepsOperations,
          beside: context.tracedExecution(of: vm)))
    }
    steps.take(from: &attribution.lookahead.settled)
    if steps.markers.isEmpty { return pool.start(steps) }
    // The observer is taken out meanwhile: it looks at the pool, which lies beside it.
    var observer = MarkerObserver(context)
    swap(&observer, &markers)
    pool.execute(steps) { marker, order in
      observer.compare(marker, order: order) { vm in
        pool[vm.index].passGracePeriod()
        return pool[vm.index].bounds(vm)
      }
    }
    swap(&observer, &markers)
  }

  /// Executes all that is settled.
  private mutating func executeAll() {
    execute()
    pool.wait()
    takeEffects()
  }

  /// Takes the operations of all VMs in the order of their steps.
  private mutating func takeEffects() {
    if context.options.observed.contains(.divergences) {
      for vm in steps.vms { observed.divergences += pool[vm].takeDivergences() }
    }
    if context.options.observed.contains(.memory) {
      for vm in steps.vms { observed.memory += pool[vm].effects.takeMemory() }
    }
    guard keepsOperations else { return }
    let active = steps.vms.filter { !pool[$0].effects.operations.isEmpty }
    if active.count == 1 {
      for performed in pool[active[0]].effects.operations { take(performed) }
    } else if active.count > 1 {
      // Those of each VM are in order, and a step is of one VM.
      let orders = steps.orders
      var owners = ContiguousArray<Int?>(repeating: nil, count: orders.count)
      for (place, vm) in active.enumerated() {
        for performed in pool[vm].effects.operations {
          owners[Int(performed.order - orders.lowerBound)] = place
        }
      }
      var taken = Array(repeating: 0, count: active.count)
      for (order, owner) in zip(orders, owners) {
        guard let owner else { continue }
        taken[owner] = take(effectsOf: active[owner], from: taken[owner], at: order)
      }
    }
    for vm in active { pool[vm].forgetEffects() }
  }

  /// Takes the operations of the VM's step `order`, which begin at a position.
  ///
  /// - Returns: the position behind them.
  private mutating func take(effectsOf vm: VMIndex, from position: Int, at order: UInt64) -> Int {
    var position = position
    while position < pool[vm].effects.operations.count, pool[vm].effects.operations[position].order == order {
      take(pool[vm].effects.operations[position])
      position += 1
    }
    return position
  }

  private mutating func take(_ performed: ExecutionEffects.Performed) {
    agreement.predict(performed.operation, place: performed.place, work: performed.work)
    if collectsOperations { observed.operations.append(performed.operation) }
  }

  /// Whether anybody looks at the operations one by one.
  private var keepsOperations: Bool { agreement.isActive || collectsOperations }

  // MARK: Observers

  private mutating func marker(_ record: TraceRecord) {
    guard let point = markers.next() else { return }
    let marker = markers.take(point, record, attribution.markerRoster)
    attribution.takeMarker(marker, record)
  }

  /// A probe on one of the kernel's own operations.
  private mutating func probe(_ record: TraceRecord) {
    if attribution.isOfShadow(record) { return }
    if let thread = attribution.threads.thread(record.tid) {
      let locker = lockThread(thread)
      if record.kind.operation != nil {
        let table = record.probedOperation.pageTable
        if let owner = locks.owner(of: table), owner != locker.fault?.vm, attribution.vms[owner].isGone {
          locks.disown(table)
        }
      }
      if let vm = locks.operation(record, by: locker) {
        let since = attribution.vms[vm].identity.since
        attribution.found.timeline?.note(
          pageTable: record.probedOperation.pageTable, ofVM: vm.position, since: since)
      }
    }
    agreement.record(record, place: attribution.threads.place(of: record.tid))
    if agreement.isFull { forgetUnpredicted() }
  }

  /// contention_begin and contention_end on the lock of any VM.
  private mutating func contention(_ record: TraceRecord) {
    guard let thread = attribution.threads.known(record.tid) else { return }
    locks.contention(
      record, by: lockThread(thread),
      lockOf: record.kind == .contentionBegin ? attribution.vms.roster.vm(at: record.contendedLock) : nil)
  }

  @inline(__always)
  private func lockThread(_ thread: ThreadIndex) -> LockObserver.Thread {
    var fault: LockObserver.Fault?
    if let id = attribution.threads[thread].vcpu.openFault, let vm = attribution.threads[thread].vcpu.vm {
      let wasRunning = attribution.vms[vm].identity.wasRunning
      fault = LockObserver.Fault(
        vm: vm, vmSince: wasRunning ? Nanoseconds(0) : attribution.vms[vm].identity.since,
        ipa: attribution.lookahead[id].address)
    }
    return LockObserver.Thread(
      index: thread, tid: attribution.threads[thread].tid, place: attribution.threads[thread].place,
      fault: fault)
  }

  /// Gives up recorded operations that no prediction can meet any more.
  private mutating func forgetUnpredicted() {
    executeAll()
    let open = attribution.threads.openPlaces
    let now = attribution.clock.now
    agreement.sweep(
      now: now, oldestWaiting: attribution.lookahead.oldestWaiting(now),
      openPlaces: Dictionary(uniqueKeysWithValues: open))
  }
}

// MARK: The result

extension Replayer where Backend: ~Copyable {
  /// What the replay found. Nothing may be consumed afterwards.
  borrowing func result(lockModes: RecordedLockModes) -> ReplayResult {
    var logs = [attribution.divergences, markers.divergences]
    for vm in attribution.vms.indices { logs.append(pool[vm].log) }
    let isOtherKernel = context.options.otherKernel != nil
    let tellsTimes = !isOtherKernel && context.survey.clock.measuresTime
    var whole = ReplayResult(
      profile: context.model, lockModes: lockModes, part: context.part, grid: context.grid,
      vms: attribution.vms.indices.map { result(of: attribution.vms[$0]) },
      unattributedFaults: attribution.found.unattributedFaults,
      unattributedNotifiers: attribution.found.unattributedNotifiers, vcpuSpans: attribution.found.vcpuSpans,
      runningFromBeginning: attribution.runningFromBeginning, timeline: attribution.found.timeline,
      divergences: DivergenceReport(logs), markers: markers.results,
      lock: tellsTimes ? locks.resultOfAll : nil,
      unattributedHolds: tellsTimes ? locks.unattributed : UnattributedHolds(),
      isOtherKernel: isOtherKernel,
      recordingSettings: context.survey.markers.settings, events: context.survey.events,
      sawKVM: context.survey.sawKVM, measuresTime: context.survey.clock.measuresTime)
    whole.guessesVCPUs = attribution.found.guessedVCPUs > 0
    whole.agreement = agreement.result(Certainty(whole), timesCalls: whole.measuresTime)
    return whole
  }

  private func result(of vm: AttributedVM) -> VMResult {
    var result = VMResult(vm, creator: attribution.vms.creator(of: vm.id), pool[vm.id], context)
    // What is in the table of a kernel that stopped nobody knows.
    result.isTableKnown = !pool[vm.id].hasStopped && vm.isTableKnown(context.events)
    if context.options.otherKernel == nil, context.survey.clock.measuresTime {
      let events = context.survey.events
      let tellsWaits =
        attribution.vms.roster.kvm(of: vm.id) != nil
        && events.missing.isDisjoint(with: [.contentionBegin, .contentionEnd])
      // A function with probes that told of no call did not run. One without them that nothing else tells of may have.
      let untimed = OperationKind.allCases.filter { kind in
        let isTold = Certainty.tells(kind, of: result, events)
        return !agreement.probes.times(kind)
          && (result.operations[kind] != nil || kind.canBeTimed && !isTold)
      }
      result.lock = locks.result(of: vm.id, performed: Set(untimed), tellsWaits: tellsWaits)
      result.sections = locks.sections(of: vm.id)
    }
    // Which tables there are follows from the path, which another kernel may state, and from the page size.
    let statesPath =
      context.options.otherKernel.map { $0.request.kernel != nil || $0.request.path != nil } ?? false
    let isOfKnownHost = [ProfileField.ID.path, .pageSize].allSatisfy {
      context.profile.basis[$0] != .assumed || $0 == .path && statesPath
    }
    // Faults of nested guests take pages from the same memcaches.
    if !context.events.supportsDerivation || vm.knownFrom != attribution.clock.epoch || !isOfKnownHost
      || vm.faults.nested > 0
    {
      result.tableBasis = .assumed
    }
    return result
  }
}

extension VMResult {
  fileprivate init<Backend: Stage2Backend & ~Copyable>(
    _ vm: AttributedVM, creator: ThreadID?, _ execution: borrowing VMExecution<Backend>,
    _ context: ReplayContext
  ) {
    let kinds = OperationKind.allCases.map { ($0, execution.tally.operations[Int($0.rawValue)]) }
    let work = execution.tally.work
    var nothing = execution.tally.nothing
    nothing[Int(NoOperationReason.noSlot.rawValue)] += vm.faultsOutside
    nothing[Int(NoOperationReason.cutOff.rawValue)] += vm.faults.cut
    let reasons = NoOperationReason.allCases.map { ($0, nothing[Int($0.rawValue)]) }
    let end = vm.identity.end
    let memory = execution.memory
    // Of a VM that was there before what is replayed, the model makes up the calls that created it.
    let since = max(vm.identity.since, context.part.from ?? vm.identity.since)
    let beganBefore = vm.identity.wasRunning || vm.identity.since < since
    self.init(
      id: vm.id.position, creator: creator, since: since, lastSeen: max(since, vm.activity.lastSeen),
      wasRunning: vm.identity.wasRunning, beganBefore: beganBefore,
      isProtected: execution.modelsProtected, vcpus: vm.vcpus, slots: vm.slots.history,
      slotEvidence: vm.slots.evidence, resets: vm.resets.found, faults: vm.faults,
      accesses: execution.tally.accesses,
      modelledFaults: execution.tally.modelledFaults,
      operations: Dictionary(uniqueKeysWithValues: kinds.filter { $0.1.count > 0 }),
      faultsWithoutOperation: Dictionary(uniqueKeysWithValues: reasons.filter { $0.1 > 0 }),
      hypercalls: execution.kvm.stage2.hypercallCounts.map { counts in
        Dictionary(
          uniqueKeysWithValues: Hypercall.allCases.filter { !beganBefore || !$0.isOfCreation }
            .map { ($0, counts[$0]) }.filter { $0.1 > 0 })
      },
      memory: end == nil ? memory : memory.released(), end: end,
      // Of a VM that had ended before what is replayed nothing is known.
      lastMemory: end.flatMap { $0.time < since ? nil : memory },
      treeDepth: execution.kvm.stage2.mappingTreeDepth(), memorySeries: execution.series.memory,
      lifeSeries: execution.series.life,
      workingSet: execution.series.workingSet.result(
        last: end.map { context.grid.index(of: $0.time) } ?? context.grid.count - 1),
      lock: nil,
      work: Dictionary(
        uniqueKeysWithValues: kinds.filter { $0.1.count > 0 }.map {
          ($0.0, work[Int($0.0.rawValue)])
        }), doubts: execution.tally.doubts, sections: [:])
  }
}
