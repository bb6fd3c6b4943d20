internal import KVMTrace
internal import KVMTypes

/// A first pass over a trace, for what has to be known before the first event can be modelled.
struct TraceSurvey {
  /// What syndromes tell of the machine and the guests' tables.
  private(set) var faults: FaultSurvey
  /// How faults wait for the locks of VMs.
  private(set) var locks: LockSurvey
  /// Which events the trace has, and which it lacks.
  private var recording = RecordingSurvey()
  private(set) var events = RecordedEvents()
  /// The kinds that had not been seen when a replay began, if that was before the last event.
  private var unseen: Set<EventKind> = []
  /// What notifiers aged.
  private(set) var ages = HostAges()
  /// When events are missing.
  private(set) var gaps = LossGaps()
  /// The threads that created VMs, or gave them their first slots, in the order of their numbers.
  private var creators: [ThreadID] = []
  /// Markers, and the types of VMs.
  private(set) var markers: MarkerSurvey
  /// What the stamps can tell.
  private(set) var clock: ClockSurvey

  /// A survey that knows the addresses of some VMs beforehand.
  init(kvms: [KernelAddress], pageSize: PageSize = .size4K, clock: TraceClock? = nil) {
    self.clock = ClockSurvey(clock)
    faults = FaultSurvey(pageSize: pageSize)
    locks = LockSurvey(kvms: kvms)
    markers = MarkerSurvey(pageSize: pageSize)
  }

  /// The first and the last event of the part that is replayed.
  var first: Nanoseconds? { clock.first }
  var last: Nanoseconds { clock.last }
  /// Whether any event of KVM's own was seen, if only in other parts of the recording.
  var sawKVM: Bool { recording.sawKVM || markers.slice?.unrecorded != nil }
  /// Whether events of a kind were seen.
  @inline(__always)
  func saw(_ kind: EventKind) -> Bool { recording.saw(kind) }
  var sawExit: Bool { saw(.exit) }
  var sawMMIO: Bool { saw(.mmio) }
  /// Which events of a vCPU's loop the trace has.
  var recorded: ThreadOrder.Recorded {
    ThreadOrder.Recorded(loop: saw(.entry) && saw(.exit) && saw(.guestFault), accessFaults: saw(.accessFault))
  }
  /// How faults stopped in the regions that a block may map.
  var regions: FaultedRegions { faults.regions }
  /// By thread, the lowest level of a translation fault.
  var lowestLevels: [ThreadID: TranslationLevel] { faults.lowestLevels }

  /// A stream has had so many damaged places when it comes to its next event, at `time`.
  @inline(__always)
  mutating func noteDamage(_ count: Int, of stream: StreamID, before time: Nanoseconds) {
    if count > 0, gaps.lose(stream, damaged: count, before: time) { markers.mapped.lose() }
  }

  /// Whether the first pass over the trace found as many damaged places in a stream.
  func knows(damage count: Int, of stream: StreamID) -> Bool { gaps.knows(damage: count, of: stream) }

  /// All events have been seen. Damage at the end of a stream has no event behind it, and damage of the file concerns every CPU.
  ///
  /// - Parameters:
  ///   - places: the damaged places of what describes the trace.
  ///   - statistics: what the pass counted.
  ///   - account: what the trace tells of the events that are not in it.
  mutating func finish(
    damage places: [Damage], _ statistics: EventStatistics, cpus: Int, _ account: SourceAccount,
    _ windows: FaultWindows
  ) {
    faults.finish(windows)
    let known = RecordedEvents.Known(
      account: account, lackedByWhole: markers.slice?.unrecorded, unseen: unseen,
      isUnordered: clock.isUnordered)
    events = recording.recorded(known, lacking: faults.nesting.missing)
    if gaps.loseEnds(damage: places, statistics, cpuCount: cpus) { markers.mapped.lose() }
    if let begin = account.uncertainFrom {
      markers.mapped.lose()
      gaps.insert(begin.rawValue..<UInt64.max)
    }
    locks.forgetWaits(across: events.lacksSomewhere ? [0..<UInt64.max] : gaps.disjoint)
  }

  /// A replay begins before all events have been seen.
  mutating func decide() { unseen = recording.unseen }

  /// Grows with what a replay has to know in the course of the trace: markers, and threads.
  var revision: Int { markers.count + creators.count + faults.threadCount + faults.nesting.revision }

  /// Takes out the gaps that were found since the last time.
  mutating func takeGaps() -> [Range<UInt64>] {
    let found = gaps.take()
    if !found.isEmpty { locks.forgetWaits(across: found) }
    return found
  }

  /// A run of a CPU's events begins with one of `time`.
  @inline(__always)
  mutating func beginRun(of cpu: CPUIndex, at time: Nanoseconds) { clock.beginRun(of: cpu, at: time) }

  /// A run of a stream's events ended with one of `time`.
  @inline(__always)
  mutating func endRun(of stream: StreamID, at time: Nanoseconds) { gaps.note(stream, at: time) }

  /// An event of `ftrace:print`; nil for one that is no marker.
  mutating func note(_ marker: TraceMarker?, at time: Nanoseconds) {
    markers.note(marker, at: time, first: first ?? time)
  }

  /// The window of a thread's fault ended.
  @inline(__always)
  mutating func close(
    _ windows: FaultWindows, _ thread: ThreadIndex, _ end: FaultWindows.End, at time: Nanoseconds
  ) {
    clock.close(windows[thread], at: time)
    locks.close(thread)
    if markers.mapped.hasOpenFault { markers.mapped.close(windows[thread], end) }
  }

  /// kvm_entry or kvm_exit.
  @inline(__always)
  mutating func consumeRun(of tid: ThreadID, at time: Nanoseconds, isEntry: Bool) {
    clock.note(time)
    markers.mapped.consumeRun(of: tid)
    recording.consumeRun(of: tid, isEntry: isEntry)
  }

  /// What a kvm_exit says.
  @inline(__always)
  mutating func note(_ exit: VCPUExit, _ thread: ThreadIndex?, at time: Nanoseconds) {
    recording.note(exit)
    if exit.isERET || faults.nesting.isSeen { faults.nesting.exit(exit, thread, at: time) }
  }

  /// kvm_entry where guests have guests.
  mutating func enterNested(_ thread: ThreadIndex?, at pc: GuestVA) { faults.nesting.enter(thread, at: pc) }

  /// kvm_guest_fault of a thread, and the windows of faults as they are before it begins one.
  ///
  /// - Parameter isNested: whether it is one of a shadow stage 2, which says nothing of the VM's own.
  @inline(__always)
  mutating func consume(
    _ fault: GuestFault, of tid: ThreadID, _ thread: ThreadIndex?, at time: Nanoseconds, isNested: Bool
  ) {
    let kind = fault.esr.faultKind
    clock.note(time)
    if isNested { return recording.consumeNested() }
    markers.mapped.consume(fault, kind, by: tid)
    recording.consume(fault, kind, thread, tid)
    faults.consume(fault, kind, thread)
    locks.open(kind, thread, at: time, sawEntry: saw(.entry))
  }

  /// Any other event.
  ///
  /// - Parameter previous: when the last event before it was that the run has, nil for the first one.
  mutating func consume(_ record: TraceRecord, _ thread: ThreadIndex?, previous: Nanoseconds?) {
    clock.note(record.time)
    markers.mapped.consume(record)
    recording.consume(record, thread)
    switch record.kind {
    case .lost:
      if let previous { gaps.note(record.stream, at: previous) }
      gaps.lose(record.stream, until: record.time)
    case .commitMemoryRegion: noteSlot(of: record.memslotCommit.kvm, by: record.tid)
    case .setMemoryRegion: noteSlot(of: record.memslotRequest.kvm, by: record.tid)
    case .initVM:
      noteCreator(record.tid)
      markers.note(record.vmCreation)
    case .destroyVM: ages.note(endOf: record.destroyedVM, at: record.time)
    case .nestedERET, .nestedException: faults.nesting.consume(record, thread)
    case .accessFault: faults.noteAccessFault()
    case .unmapHVARange, .ageHVA, .testAgeHVA:
      locks.notify(thread)
      if record.kind == .ageHVA { ages.note(record.hvaRange, at: record.time) }
    case .contentionBegin: locks.wait(thread, record)
    default: break
    }
  }

  /// Whether a thread created a VM, or gave it its first slot. Asked for each notifier's event.
  func isCreator(_ thread: ThreadID) -> Bool {
    let position = creators.partitioningIndex { $0 >= thread }
    return position < creators.count && creators[position] == thread
  }

  private mutating func noteCreator(_ thread: ThreadID) {
    if !isCreator(thread) { creators.insert(thread, at: creators.partitioningIndex { $0 >= thread }) }
  }

  private mutating func noteSlot(of kvm: KernelAddress, by thread: ThreadID) {
    if locks.note(kvm) { noteCreator(thread) }
    markers.note(slotOf: kvm)
  }
}
