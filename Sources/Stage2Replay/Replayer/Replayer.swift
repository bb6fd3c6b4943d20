internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Drives the events of a trace through one model for each VM.
///
/// An event goes through three stages.
///
/// 1. *Attribution*, at once: which VM, which slot, which frames, what else happened in the fault's window. What
///    concerns a region where a fault waits is noted in that region's timeline.
/// 2. *Waiting*: a fault enters the queue when its window ends, which is when KVM acted (between the event and the
///    thread's next kvm_entry), a notifier when it is called. The queue is long enough that what decides a fault has
///    usually been seen when the fault leaves it.
/// 3. *Application*, in the order of the queue: the rules decide, the model performs the operation and says what it
///    returns.
///
/// Probes on the kernel's own operations are held against the result and never used for it.
///
/// | file | does |
/// |---|---|
/// | `Replayer+VCPUs.swift` | kvm_entry, kvm_guest_fault and what else happens in a fault's window |
/// | `Replayer+Memslots.swift` | VMs and their slots |
/// | `Replayer+Notifiers.swift` | the MMU notifier's events |
/// | `Replayer+Races.swift` | which of two faults that raced for a mapping was first |
/// | `Replayer+Losses.swift` | events that the trace lost |
/// | `Replayer+Application.swift` | the third stage |
/// | `Replayer+Divergences.swift` | what the divergence rules need of an event when it comes in |
/// | `Replayer+Checks.swift` | the divergence rules, at the third stage, with the three files that follow |
/// | `Replayer+CheckEvidence.swift` | what is known of a fault's window and of the table |
/// | `Replayer+CheckEffects.swift` | what a fault did, and corrections of the model |
/// | `Replayer+CheckLog.swift` | what is put down |
/// | `Replayer+OtherKernel.swift` | the same accesses under another kernel |
/// | `Replayer+Markers.swift` | what the host counted at quiet points |
/// | `Replayer+LockTimes.swift` | recorded time under the lock |
struct Replayer<Backend: ReplayedBackend & ~Copyable>: ~Copyable {
  let profile: ReplayProfile
  let options: ReplayOptions
  /// The kernel and machine that are modelled: those that were traced, unless another kernel is asked for.
  let model: ReplayProfile
  /// How the traced host took the lock.
  let lockModes: RecordedLockModes
  /// The model of a VM, which is protected or not.
  let makeBackend: (_ isProtected: Bool) -> Backend
  /// Whether applied operations are kept until `takeOperations`.
  private let collectsOperations: Bool
  private var operations: [Stage2Operation] = []
  var threads: [TracedThread] = []
  /// The positions of threads whose fault is open, or was not long ago: few, where there may be many threads.
  var openThreads: [Int] = []
  private var threadTable = ThreadTable()
  var vms: [GuestVM<Backend>] = []
  /// What the first pass found out about the threads of vCPUs.
  let vcpuEvidence: VCPUEvidence
  /// Which VMs' vCPUs the threads ran, in the order in which that came out.
  var vcpuSpans: [VCPUSpan] = []
  /// What is put down for a `VMAttributor`, if anything is.
  var timeline: VMTimeline?
  /// The positions of VMs that are not gone.
  var liveVMs: [Int] = []
  var timelines: RegionTimelines
  private var queue: LagQueue<PendingRecord>
  /// The event's place in the merged trace.
  private(set) var sequence: UInt64 = 0
  /// The place before the first event of the run that is being taken in, and for each CPU that of its last event in
  /// earlier runs.
  private(set) var runStart: UInt64 = 0
  var lastSequences: [UInt64] = []
  /// By the place of an unmap that waited for the lock, the ends of the windows of faults that had it meanwhile.
  var faultsBefore: [UInt64: [UInt64]] = [:]
  /// The threads whose records are being applied, while others are applied ahead of them.
  var threadsInApplication: [ThreadID] = []
  /// The work of the model of the VM whose record is being applied, up to its last operation.
  private var workBefore = Stage2Work()
  /// The trace has ended: what still waits has seen all that there is to see.
  private(set) var isFinishing = false
  /// The copies in which notifications come.
  var copies = NotifierCopies()
  /// The overlaps of one notifier's range, kept to save allocations.
  var scratch: [FrameRange] = []
  var agreement: Agreement
  /// The intervals of all series.
  let grid: TimeGrid
  /// The VMs of the page tables that probes name (`struct kvm_pgtable`).
  var pageTables: [KernelAddress: Int] = [:]
  var unattributedFaults = 0
  var unattributedNotifiers = NotifierCounts()
  /// No operation is more certain than this: what a trace does not record forces nothing.
  private let hypothesisBasis: Basis
  /// Who holds and who waits for locks at the moment.
  var lockWaits: LockWaits
  /// What the first pass over the trace found.
  let survey: TraceSurvey
  let areRegionsOfPages: Bool
  let recorded: ThreadOrder.Recorded
  /// Whether the model is held against the trace.
  let checksRules: Bool
  var losses: LossLog
  var divergences: DivergenceLog
  /// Where in the merged trace pages were mapped last.
  var pageBirths = RecentPositions(bits: 13)
  var unmapsUnderway: [UnmapUnderway] = []
  /// The probe that tells of memslots; nil where a schedule does.
  let slotProbe: MemslotProbe?
  var slotRequests: MemslotRequests
  var slotSchedule: MemslotSchedule
  /// The VMs of the schedule's history that have appeared.
  var scheduledVMs: [Int?]
  /// The VMs that probes tell of, with what they were created as.
  var vmTypes: [KernelAddress: VMType] = [:]
  /// Events of ftrace:print so far, and the memory markers among them.
  var prints = 0
  var firstMarker: FirstMarker?
  var snapshots: [MarkerSnapshot] = []
  var markers: [MarkerResult] = []
  /// Whether everything has been quiet since a marker that said so, and what the VMs had then.
  var isQuiet = false
  var quietBounds: MemoryBounds?
  /// The time of the first event: what a schedule dates before the trace happened by then.
  private(set) var firstTime = Nanoseconds(0)

  init(
    profile: ReplayProfile, model: ReplayProfile, lockModes: RecordedLockModes, survey: TraceSurvey,
    vcpuEvidence: VCPUEvidence, options: ReplayOptions, memslots: MemslotSource, probes: ProbeRecording,
    collectsOperations: Bool,
    grid: TimeGrid, makeBackend: @escaping (_ isProtected: Bool) -> Backend
  ) {
    self.grid = grid
    self.collectsOperations = collectsOperations
    self.survey = survey
    areRegionsOfPages = survey.regions.areOfPages
    self.vcpuEvidence = vcpuEvidence
    // Another kernel is not the one that the trace shows.
    checksRules = options.otherKernel == nil
    recorded = survey.recorded
    losses = LossLog(survey.gaps)
    divergences = DivergenceLog(survey.events)
    self.profile = profile
    self.model = model
    self.lockModes = lockModes
    hypothesisBasis = survey.events.supportsDerivation ? .derived : .assumed
    lockWaits = LockWaits()
    self.options = options
    self.makeBackend = makeBackend
    timeline = options.recordsTimeline ? VMTimeline() : nil
    slotProbe = memslots.probe
    slotRequests = MemslotRequests(
      pageSize: profile.pageSize, hasReturns: memslots.probe == .requestsAndReturns)
    slotSchedule = MemslotSchedule(memslots.history)
    scheduledVMs = Array(repeating: nil, count: memslots.history.vms.count)
    timelines = RegionTimelines(pageSize: profile.pageSize)
    queue = LagQueue(lag: options.lag)
    agreement = Agreement(
      isActive: probes != .none && !options.ignoresProbes, hasEarlyProtBits: probes == .earlyProtBits,
      keepsTimings: options.measuresWork)
  }

  /// The operations applied since the last call.
  mutating func takeOperations() -> [Stage2Operation] {
    defer { operations.removeAll(keepingCapacity: true) }
    return operations
  }

  /// Takes in consecutive events of one CPU.
  mutating func consume(_ records: UnsafeBufferPointer<TraceRecord>) {
    runStart = sequence
    for index in records.indices { consume(records[index]) }
    noteRun(of: records[0].cpu)
  }

  /// Applies what still waits. Must be the last call.
  mutating func finish() {
    isFinishing = true
    // A window that the trace cuts: what KVM did is not known, so nothing is said about it.
    for position in openThreads {
      if survey.events.missing.contains(.entry) {
        // Nothing else marks the end of a thread's last fault.
        sequence += 1
        closeFaultUnseen(of: position, time: survey.last, cpu: threads[position].openFault!.record.cpu)
      } else {
        abandonOpenFault(of: position)
      }
    }
    finishLockTimes()
    while let record = queue.popFirst() { apply(record) }
    finishChecks()
    agreement.finish()
    for vm in vms {
      if let end = vm.end {
        vm.memorySeries.advance(to: end.time, grid, MemorySample(vm.backend.memory))
        vm.memorySeries.finish(grid, MemorySample(vm.backend.memory.released()))
      } else {
        vm.memorySeries.finish(grid, MemorySample(vm.backend.memory))
      }
    }
  }

  private mutating func consume(_ record: TraceRecord) {
    sequence += 1
    losses.advance(to: record.time)
    if record.time >= slotSchedule.due {
      if sequence == 1 { firstTime = record.time }
      applyDueSlotChanges(before: record)
    }
    if let from = options.from, record.time < from {
      if record.kind == .marker { prints += 1 }
      noteLife(record)
      memslotProbe(record, performsOperations: false)
      return
    }
    if let to = options.to, record.time >= to { return }
    switch record.kind {
    case .entry: entry(record)
    case .exit: exit(record)
    case .guestFault: guestFault(record)
    case .accessFault, .mmio, .mmioNISV, .userspaceExit: windowEvent(record)
    case .unmapHVARange, .setSPTEHVA: notifier(record, .unmap)
    case .ageHVA: notifier(record, .age)
    case .testAgeHVA: notifier(record, .testAge)
    case .commitMemoryRegion, .setMemoryRegion, .setMemoryRegionReturn: memslotProbe(record)
    case .initVM, .destroyVM: noteLife(record)
    case .marker: marker(record)
    case .lost: lose(record)
    case .probeMap, .probeMapReturn, .probeUnmap, .probeUnmapReturn, .probeWrprotect, .probeWrprotectReturn,
      .probeTestClearYoung, .probeTestClearYoungReturn, .probeRelaxPerms, .probeRelaxPermsReturn,
      .probeMkyoung:
      timeOperation(record)
      agreement.record(record, place: place(of: record.tid))
      if agreement.isFull { forgetUnpredicted() }
    case .contentionBegin, .contentionEnd:
      contention(record)
      timeWait(record)
    case .other, .setWayFlush, .toggleCache, .dirtyRingPush, .hypercall, .probeAbortReturn, .probeAgeGFN,
      .probeUnmapGFN:
      break
    }
  }

  // MARK: Threads

  /// The position of a thread that has been seen before.
  func knownThread(_ tid: ThreadID) -> Int? { threadTable[tid] }

  /// The position of a thread; a new one is taken in. Nil for numbers that Linux cannot hand out.
  mutating func thread(_ tid: ThreadID) -> Int? {
    if let position = threadTable[tid] { return position }
    guard threadTable.insert(tid, position: threads.count) else { return nil }
    threads.append(TracedThread(tid: tid))
    return threads.count - 1
  }

  /// Where a thread is in its own stream of events.
  func place(of tid: ThreadID) -> ThreadPlace {
    threadTable[tid].map { threads[$0].place } ?? ThreadPlace(windows: 0, notifiers: 0)
  }

  // MARK: The queue

  /// The place in the merged trace of the record that has waited longest.
  var oldestWaiting: UInt64 { queue.first?.sequence ?? sequence }

  /// Puts a record behind all others; the one that has waited longest leaves a full queue.
  mutating func enqueue(_ record: PendingRecord) {
    if queue.isFull, let oldest = queue.popFirst() { apply(oldest) }
    queue.append(record)
  }

  /// Gives up recorded operations that no prediction can meet any more.
  private mutating func forgetUnpredicted() {
    let open = openThreads.map { (threads[$0].tid, threads[$0].place) }
    agreement.sweep(
      now: sequence, oldestWaiting: oldestWaiting,
      openPlaces: Dictionary(uniqueKeysWithValues: open))
  }

  /// Keeps the timelines from growing without end, where more happens to regions in which faults wait than the queue
  /// holds: a window that does not end, because its thread is gone, or notifiers that concern every region.
  mutating func boundTimelines() {
    let limit = 16 * queue.lag + 4096
    guard timelines.count > limit else { return }
    let oldest = queue.first?.sequence ?? .max
    for position in openThreads { park(position, before: oldest) }
    while timelines.count > limit / 2, let oldest = queue.popFirst() { apply(oldest) }
    if timelines.count > limit / 2 {
      for position in openThreads { park(position, before: .max) }
    }
  }

  /// Takes an open fault that came before `sequence` out of its timeline until its window ends. What happened in the
  /// region meanwhile is forgotten, so nothing about it is certain.
  private mutating func park(_ position: Int, before sequence: UInt64) {
    guard let open = threads[position].openFault, open.parkedNode == nil, let vm = threads[position].vm else {
      return
    }
    var node = timelines[open.record.node]
    guard node.sequence < sequence else { return }
    timelines.release(fault: open.record.node, vm: vm)
    node.detach()
    threads[position].openFault!.parkedNode = node
  }

  /// Changes the fault whose window ended at `sequence`, if it still waits.
  mutating func updateWaitingFault(endedAt sequence: UInt64, _ body: (inout FaultRecord) -> Void) {
    guard let position = positionInQueue(ofWindowEndingAt: sequence),
      case .fault(var fault) = queue[position].action
    else { return }
    body(&fault)
    queue[position].action = .fault(fault)
  }

  /// Takes the fault whose window ended at `sequence` out of its turn, if it still waits.
  mutating func takeWaitingFault(endedAt sequence: UInt64) -> PendingRecord? {
    guard let position = positionInQueue(ofWindowEndingAt: sequence), !queue[position].isApplied else {
      return nil
    }
    queue[position].isApplied = true
    return queue[position]
  }

  /// The fault whose window ended at `sequence`, if it still waits.
  func waitingFault(endedAt sequence: UInt64) -> FaultRecord? {
    guard let position = positionInQueue(ofWindowEndingAt: sequence), !queue[position].isApplied,
      case .fault(let fault) = queue[position].action
    else { return nil }
    return fault
  }

  /// Moves what a notifier's event at `sequence` did to a VM to the end of the queue, which is now, and returns it.
  mutating func delayNotification(of sequence: UInt64, vm: Int, until record: TraceRecord) -> [PendingRecord]
  {
    var moved: [PendingRecord] = []
    var position = queue.position { $0.sequence < sequence }
    while position < queue.count, queue[position].sequence == sequence {
      // A check looks at the table as the fault found it, before the notification.
      if queue[position].vm == vm, !queue[position].isApplied, !queue[position].isCheck {
        moved.append(queue[position])
        queue[position].isApplied = true
      }
      position += 1
    }
    for index in moved.indices {
      moved[index].sequence = self.sequence
      moved[index].time = record.time
      enqueue(moved[index])
    }
    return moved
  }

  /// Whether a record of a thread waits that is older than `sequence`.
  func isWaiting(tid: ThreadID, before sequence: UInt64) -> Bool {
    var position = 0
    while position < queue.count, queue[position].sequence < sequence {
      if queue[position].tid == tid, !queue[position].isApplied { return true }
      position += 1
    }
    return false
  }

  private func positionInQueue(ofWindowEndingAt sequence: UInt64) -> Int? {
    let position = queue.position { $0.sequence < sequence }
    guard position < queue.count, queue[position].sequence == sequence, case .fault = queue[position].action
    else { return nil }
    return position
  }

  /// Changes the faults of a VM that still wait, the oldest first.
  mutating func updateWaitingFaults(ofVM vm: Int, _ body: (inout FaultRecord) -> Void) {
    queue.update { record in
      guard record.vm == vm, case .fault(var fault) = record.action else { return }
      body(&fault)
      record.action = .fault(fault)
    }
    for position in openThreads where threads[position].vm == vm {
      body(&threads[position].openFault!.record)
    }
  }

  /// A slot with these frames goes. From some moment after `since` notifications of its memory met it where it is next.
  mutating func doubtNotifications(of frames: FrameRange, vm: Int, since: UInt64) {
    queue.update { record in
      guard record.vm == vm, record.sequence > since else { return }
      switch record.action {
      case .unmap(let range), .age(let range, _, _):
        if range.start < frames.end, frames.start < range.end { record.isElsewherePossible = true }
      default: break
      }
    }
  }

  /// What a VM's operation costs is counted from here on.
  mutating func startMeasuring(vm: Int) {
    if options.measuresWork { workBefore = vms[vm].backend.work }
  }

  /// An operation was performed on a VM's table.
  mutating func emit(
    _ record: PendingRecord, _ kind: OperationKind, _ address: IPA, size: UInt64, prot: Stage2Prot? = nil,
    protBasis: Basis? = nil, markOld: Bool = false, result: Int32?, basis: Basis
  ) {
    var operation = Stage2Operation(
      time: record.time, cpu: record.cpu, tid: record.tid, vm: record.vm, kind: kind, address: address,
      size: size,
      prot: prot, result: result,
      basis: max(
        basis, record.isElsewherePossible ? .assumed : max(vms[record.vm].slotBasis, hypothesisBasis)))
    operation.markOld = markOld
    operation.protBasis = protBasis.map { max($0, max(vms[record.vm].slotBasis, hypothesisBasis)) }
    vms[record.vm].tally.operations[Int(kind.rawValue)].add(operation, pageSize: profile.pageSize)
    if options.measuresWork {
      let now = vms[record.vm].backend.work
      let work = now - workBefore
      workBefore = now
      vms[record.vm].tally.work[Int(kind.rawValue)] += work
      agreement.predict(operation, place: record.place, work: work)
    } else {
      agreement.predict(operation, place: record.place)
    }
    if collectsOperations { operations.append(operation) }
  }
}

extension OperationCounts {
  mutating func add(_ operation: Stage2Operation, pageSize: PageSize) {
    count += 1
    pages += max(operation.size >> pageSize.shift, 1)
    if operation.kind != .testClearYoung, let result = operation.result {
      if result == KernelResult.again.rawValue { again += 1 } else if result < 0 { errors += 1 }
    }
    if operation.basis == .derived { derived += 1 } else { assumed += 1 }
  }
}
