internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Says of each event to whom it happened, at once: which VM, which slot, which frames, what else happened in the fault's
/// window. All of it is event time. What KVM did about it is settled by `Lookahead`, later.
///
/// | file | takes in |
/// |---|---|
/// | `Attribution.swift` | VMs and their memslots, losses |
/// | `Attribution+VCPUs.swift` | kvm_entry, kvm_exit, kvm_guest_fault and what else happens in a fault's window |
/// | `Attribution+Membership.swift` | whose vCPU a thread runs |
/// | `Attribution+Exceptions.swift` | vCPUs that go on elsewhere than where they faulted |
/// | `Attribution+Nesting.swift` | guests of guests |
/// | `Attribution+Resets.swift` | vCPUs that the VMM initialises again |
/// | `Attribution+DirtyLog.swift` | what faults tell of dirty logs |
/// | `Attribution+Notifiers.swift` | the MMU notifier's events, and which unmaps are under way |
/// | `Attribution+OwnNotifications.swift` | those by a fault's own thread |
/// | `Attribution+GuestMemfd.swift` | holes in a guest_memfd |
/// | `Attribution+Gaps.swift` | what of threads is open where events are missing |
///
/// Functions that only read and that each event calls are inlined, here as in `Lookahead` and `Replayer`: a call would copy the whole
/// value, 1.5 KB, to the stack first.
struct Attribution: ~Copyable {
  let context: ReplayContext
  var clock: EventClock
  var threads = ThreadRegister()
  var vms = VMRegister()
  var lookahead: Lookahead
  /// Where slots are known from.
  private var slots: SlotEvents
  var notifiers = NotifierState()
  /// What the survey found out about the threads of vCPUs.
  var vcpuEvidence: VCPUEvidence
  var found = AttributionResult()
  /// Rules about the order of events and about single ones that were broken.
  var divergences: DivergenceLog

  init(_ context: ReplayContext, vcpuEvidence: VCPUEvidence, memslots: MemslotSource) {
    self.context = context
    self.vcpuEvidence = vcpuEvidence
    clock = EventClock(context.survey.gaps)
    lookahead = Lookahead(
      pageSize: context.pageSize, faultLock: context.profile.profile.faultLock, lag: context.options.lag,
      seesEntries: !context.events.missing.contains(.entry))
    slots = SlotEvents(memslots, pageSize: context.pageSize)
    divergences = DivergenceLog(context)
    found.timeline = context.options.recordsTimeline ? VMTimeline() : nil
  }

  /// The next event. Whether it lies in the part of the trace that is replayed.
  @inline(__always)
  mutating func advance(to record: TraceRecord) -> Bool {
    clock.advance(to: record.time)
    // What is missing behind the part does not concern it: a copy of the part has nothing of that.
    if clock.takeBreak(), isBeforeEnd(record) { noteBreak() }
    if record.time >= slots.due { applyDueSlotChanges(before: record) }
    if let from = context.options.from, record.time < from {
      clock.notePartAhead()
      notifiers.ahead.take(record, ())
      if record.kind == .entry { noteEntryAhead(of: record.tid) }
      takeLife(record)
      takeMemslotProbe(record, performsOperations: false)
      return false
    }
    if !notifiers.ahead.isEmpty { beginUnmapsAhead() }
    return isBeforeEnd(record)
  }

  /// Whether an event lies before the end of the part of the trace that is replayed.
  @inline(__always)
  private func isBeforeEnd(_ record: TraceRecord) -> Bool {
    context.options.to.map { record.time < $0 } ?? true
  }

  /// An event comes soon: what a fault will find of its region is brought nearer, for it is looked for among thousands. (Mutating,
  /// though it changes nothing: else it would be handed a copy of the attribution.)
  @inline(__always)
  mutating func bringNear(_ record: UnsafePointer<TraceRecord>) {
    guard record.pointee.kind == .guestFault, let thread = threads.known(record.pointee.tid),
      let vm = threads[thread].vcpu.vm
    else { return }
    lookahead.bringNear(record.pointee.guestFault.ipa.gfn(context.pageSize), of: vm)
  }

  /// Takes in an event. Those of probes on operations and of locks, and markers, are others' business besides.
  @inline(__always)
  mutating func take(_ record: TraceRecord) {
    switch record.kind {
    case .entry: entry(record)
    case .exit: exit(record)
    case .guestFault: guestFault(record)
    case .accessFault, .mmio, .mmioNISV, .userspaceExit: windowEvent(record)
    case .nestedERET, .nestedException: nestedSwitch(record)
    case .unmapHVARange, .setSPTEHVA: notifier(record, .unmap)
    case .ageHVA: notifier(record, .age)
    case .testAgeHVA: notifier(record, .testAge)
    case .probeUnmapGFN, .probeAgeGFN: nameNotified(record)
    case .commitMemoryRegion, .setMemoryRegion, .setMemoryRegionReturn: takeMemslotProbe(record)
    case .initVM, .destroyVM: takeLife(record)
    case .lost: lose(record)
    case .contentionBegin, .contentionEnd: contention(record)
    default: break
    }
  }

  /// The trace has ended: windows that it cuts, and all that waits.
  mutating func finish() {
    let stopped = vms.live.filter { vm in
      let vcpus = vms[vm].vcpus
      return !vcpus.isEmpty
        && vcpus.allSatisfy { tid in threads.known(tid).map { threads[$0].vcpu.isInUserspace } ?? false }
    }
    lookahead.stop(Set(stopped))
    if !clock.isInGap { noteUnseenThreads(before: Epoch(clock.epoch.rawValue + 1)) }
    // A window that the trace cuts: what KVM did is not known, so nothing is said about it.
    for cut in threads.open.all.sorted(by: { lookahead[$0.fault].begin < lookahead[$1.fault].begin }) {
      if context.events.missing.contains(.entry) {
        // Nothing else marks the end of a thread's last fault.
        clock.advancePastEnd()
        closeFaultUnseen(of: cut.thread, time: context.survey.last, cpu: lookahead[cut.fault].cpu)
      } else {
        abandonOpenFault(of: cut.thread)
      }
    }
  }

  /// Settles all that waits: nothing more comes.
  mutating func settleRest() { lookahead.finish(vms) }

  /// Says of the VMs that have ended, and of which nothing of before waits any more, that they are gone.
  mutating func settleEnds() {
    lookahead.settled.settleEnds(before: lookahead.oldestWaiting(.pending))
  }

  /// Puts something behind all else that happened to a VM.
  mutating func enqueue(
    _ action: PendingRecord.Action, vm: VMIndex, _ record: TraceRecord, _ place: ThreadPlace,
    _ doubts: RangeDoubts = []
  ) {
    var pending = PendingRecord(
      action: action, vm: vm, sequence: clock.now, time: record.time, cpu: record.cpu, tid: record.tid,
      place: place)
    pending.doubts = doubts
    lookahead.enqueue(pending, vms)
  }

  /// A memory marker waits until everything before it is executed.
  mutating func takeMarker(_ marker: Int, _ record: TraceRecord) {
    // A VM that is stopped is not being torn down.
    for vm in vms.live where vms.roster.isKnownToLive(vm) { vms[vm].activity.last = clock.now }
    lookahead.enqueue(
      PendingRecord(
        action: .marker(marker), vm: nil, sequence: clock.now, time: record.time, cpu: record.cpu,
        tid: record.tid, place: ThreadPlace(windows: 0, notifiers: 0)), vms)
  }

  /// Notes what happens to frames in the timelines of the regions where a fault waits.
  mutating func note(_ kind: TimelineNode.Kind, _ frames: FrameRange, vm: VMIndex, by tid: ThreadID) {
    lookahead.note(kind, frames, vm: vm, by: tid, at: clock.now)
    boundTimelines()
  }

  /// Asked before the registers are handed down, which every call copies a part of.
  @inline(__always)
  mutating func boundTimelines() {
    if lookahead.hasLongTimelines { lookahead.shortenTimelines(threads, vms) }
  }

  /// Events are missing from here on, or are missing no more.
  private mutating func noteBreak() {
    lookahead.note(breakAt: clock.now)
    guard clock.isInGap else { return }
    noteUnseenThreads(before: clock.epoch)
    doubtOpenNotifications()
    guard slots.probe != nil else { return }
    // What a commit among them changes is in force a little before it, but not before the VM's last one.
    let since = vms.live.map { vms[$0].slots.lastChange }.min() ?? .start
    lookahead.doubtLogging(since: since, threads)
  }

  /// Events of a stream were lost since its last one. Any thread may have run there, and unmapped memory of any VM: faults
  /// whose windows reach into that time may have been made to retry.
  private mutating func lose(_ record: TraceRecord) {
    let since = clock.lastSequence(of: record.stream)
    var mayRetry = [Bool](repeating: false, count: vms.count)
    for vm in vms.live where !vms[vm].identity.isProtected { mayRetry[vm.position] = true }
    lookahead.updateFaults(threads, where: { mayRetry[$0.position] }) { fault in
      if fault.end >= since { fault.mayBeInvalidated = true }
    }
  }
}

// MARK: VMs

extension Attribution {
  /// The roster has a VM that was not known before.
  ///
  /// - Parameter mayBeOlder: whether it may be one of which commits are missing.
  private mutating func take(
    _ vm: VMIndex, tids: [ThreadID]? = nil, at time: Nanoseconds, mayBeOlder: Bool = false
  ) {
    let roster = vms.roster
    let wasRunning = roster.wasRunning(vm)
    let isKnown =
      !wasRunning && !mayBeOlder && !clock.isInGap
      && context.options.from.map { time >= $0 } ?? true
    let type = roster.kvm(of: vm).flatMap { roster.type(of: $0) }
    vms.append(
      AttributedVM(
        id: vm,
        identity: VMIdentity(
          tids: tids.map(Set.init), since: time, kvm: roster.kvm(of: vm), wasRunning: wasRunning,
          isProtected: context.profile.modelsProtected(type?.isProtected ?? false), firstEpoch: clock.epoch,
          slotsKnownFrom: mayBeOlder ? .never : slotsKnownFrom(isCreationTold: type != nil)),
        slots: VMSlots(pageSize: context.pageSize), knownFrom: isKnown ? clock.epoch : .never))
    forgetCopies()
    noteNames(vm)
  }

  /// The epoch in which all commits are known of a VM that appears now. Its first one may be among what was lost before, unless a probe
  /// told of its creation; where events are missing just now, so may any of its later ones.
  private func slotsKnownFrom(isCreationTold: Bool) -> Epoch {
    !clock.isInGap && (clock.epoch == Epoch(0) || isCreationTold) ? clock.epoch : .never
  }

  /// A vCPU faults that is of no VM that is there.
  mutating func addVMWithoutSlots(at time: Nanoseconds) -> VMIndex {
    let vm = vms.roster.runWithoutSlots()
    take(vm, at: time)
    return vm
  }

  /// It is known what a VM is called in events, and which threads are its own.
  private mutating func noteNames(_ vm: VMIndex) {
    let identity = vms[vm].identity
    found.timeline?.note(kvm: vms.roster.kvm(of: vm), ofVM: vm.position, since: identity.since)
    found.timeline?.note(creator: vms.creator(of: vm), ofVM: vm.position, since: identity.life.since)
    found.timeline?.note(thread: vms.creator(of: vm), ofVM: vm.position, since: identity.since)
    for tid in identity.tids?.sorted() ?? [] {
      found.timeline?.note(thread: tid, ofVM: vm.position, since: identity.since)
    }
  }

  /// The VM is gone, or another one has taken its place.
  private mutating func end(_ vm: VMIndex, at time: Nanoseconds, basis: Basis = .assumed) {
    found.timeline?.note(.end(vm: vm.position), at: time)
    let end = VMEnd(time: time, basis: basis)
    vms[vm].identity.end = end
    lookahead.settled.append(.ended(end), vm)
    lookahead.settled.noteEnd(of: vm, at: clock.now)
    if clock.now == clock.partStart { forgetEntriesAhead() }
    for tid in vms[vm].vcpus {
      guard let thread = threads.known(tid), threads[thread].vcpu.vm == vm else { continue }
      threads[thread].nesting = NestingContext()
      forgetEntries(of: thread)
    }
    forgetCopies()
  }

  /// Takes in what the roster says of an event of memslots.
  private mutating func take(
    _ answer: VMRoster.Answer, tids: [ThreadID]? = nil, at time: Nanoseconds, mayBeOlder: Bool = false
  ) -> VMIndex {
    for vm in answer.retired { end(vm, at: time) }
    switch answer.news {
    case .none: break
    case .named: noteNames(answer.vm)
    case .appeared: take(answer.vm, tids: tids, at: time, mayBeOlder: mayBeOlder)
    }
    return answer.vm
  }

  /// A VM is created or destroyed.
  private mutating func takeLife(_ record: TraceRecord) {
    switch record.kind {
    case .initVM:
      // Nothing is modelled of a VM before it has memslots.
      let creation = record.vmCreation
      if let earlier = vms.roster.initVM(creation.kvm, creation.type) { end(earlier, at: record.time) }
      forgetCopies()
    case .destroyVM:
      // Nothing of its stage 2 is left, and no event concerns it any more.
      forgetCopies()
      guard let vm = vms.roster.destroyVM(record.destroyedVM) else { return }
      end(vm, at: record.time, basis: .recorded)
      for tid in vms[vm].vcpus {
        guard let thread = threads.known(tid), threads[thread].vcpu.vm == vm else { continue }
        threads[thread].vcpu.counts = VCPUCounts()
      }
    default: break
    }
  }
}

// MARK: Memslots

extension Attribution {
  /// A probe tells of a slot's change, or of the VMM's wish for one.
  ///
  /// - Parameter performsOperations: false before the part of the trace that is replayed, when only the slots matter.
  private mutating func takeMemslotProbe(_ record: TraceRecord, performsOperations: Bool = true) {
    guard slots.probe != nil, let thread = threads.thread(record.tid) else { return }
    guard let told = slots.update(record, context.pageSize) else { return }
    let since = threads[thread].lastEvent
    leaveMemoryManagement(thread)
    reach(thread)
    guard let (kvm, update) = told else { return }
    let contradicted = vms.roster.vm(at: kvm).flatMap { update.contradicts(vms[$0].slots.table) ? $0 : nil }
    // Where the commit may be missing that took the slot away, it may be the same VM; and is, if a vCPU of it runs.
    let mayBeSame = contradicted.map { mayLackCommits($0) } ?? false
    let isSame = mayBeSame && contradicted.map { isInKVMRun($0, but: thread) } ?? false
    let answer = vms.roster.setMemoryRegion(
      of: kvm, update.change, by: record.tid, isContradicted: contradicted != nil && !isSame,
      running: vmsInKVMRun(createdBy: record.tid, but: thread))
    let vm = take(answer, at: record.time, mayBeOlder: mayBeSame)
    apply(
      update, vm: vm, record, threads[thread].place, since: since, performsOperations: performsOperations)
  }

  /// The VMs of a thread of which a vCPU is in KVM_RUN.
  private func vmsInKVMRun(createdBy creator: ThreadID, but thread: ThreadIndex) -> [VMIndex] {
    vms.roster.vms(createdBy: creator).filter { isInKVMRun($0, but: thread) }
  }

  /// Whether a vCPU of a VM is in KVM_RUN, which begins before its kvm_entry and ends with kvm_userspace_exit.
  private func isInKVMRun(_ vm: VMIndex, but creator: ThreadIndex) -> Bool {
    guard !clock.isInGap, context.events.missing.isDisjoint(with: [.entry, .userspaceExit]) else {
      return false
    }
    return vms[vm].vcpus.contains { tid in
      guard let thread = threads.known(tid), thread != creator else { return false }
      let vcpu = threads[thread].vcpu
      return vcpu.vm == vm && !vcpu.isInUserspace && vcpu.lastEntry > .start
        && vcpu.entryEpoch == clock.epoch
    }
  }

  /// Makes the changes of slots that a file or an inference dates before `record`.
  private mutating func applyDueSlotChanges(before record: TraceRecord) {
    if clock.now == Sequence(1) { slots.firstTime = record.time }
    let eventsBefore = slots.eventsBefore(record)
    while let entry = slots.schedule.takeNext(upTo: record.time, place: eventsBefore) {
      let life = slots.schedule.history.vms[entry.vm]
      var change = record
      change.time = max(entry.time, slots.firstTime)
      let actor = entry.origin.thread ?? life.creator
      if let actor { change.tid = actor }
      guard case .update(let update) = entry.step else {
        if let vm = vms.roster.end(scheduled: entry.vm) { end(vm, at: change.time) }
        continue
      }
      if let slot = update.slot, !slot.isPossible(context.pageSize) { continue }
      let isNew = entry.time >= slots.firstTime
      let thread = actor.flatMap { threads.thread($0) }
      let vm = take(
        vms.roster.setMemoryRegion(
          scheduled: entry.vm, life, isNew: isNew,
          running: thread.map { vmsInKVMRun(createdBy: change.tid, but: $0) } ?? []),
        tids: life.tids, at: change.time)
      if let slot = update.slot, let evidence = entry.evidence { vms[vm].slots.evidence[slot] = evidence }
      var place = ThreadPlace(windows: 0, notifiers: 0)
      var since = Sequence.start
      if let thread {
        since = threads[thread].lastEvent
        leaveMemoryManagement(thread)
        if isNew { reach(thread) }
        place = threads[thread].place
      }
      apply(
        update, vm: vm, change, place, since: since,
        performsOperations: entry.time >= context.options.from ?? slots.firstTime)
    }
  }

  private mutating func apply(
    _ update: MemslotUpdate, vm: VMIndex, _ record: TraceRecord, _ place: ThreadPlace, since: Sequence,
    performsOperations: Bool
  ) {
    // A VM changes one slot at a time (`kvm->slots_lock`), so this change is made behind its last commit, too, whoever makes it.
    let since = max(since, vms[vm].slots.lastChange)
    let removed = update.change == .delete || update.change == .move ? removeSlot(update, vm: vm) : nil
    if let frames = removed, performsOperations {
      note(.slotChange, frames, vm: vm, by: record.tid)
      noteRemoval(of: frames, vm: vm, since: since, basis: update.basis)
      lookahead.doubtNotifications(of: frames, vm: vm, since: since)
      // The frames are unmapped behind that: perhaps before what is replayed.
      let isBefore = since <= clock.partStart
      enqueue(.deleteSlot(frames), vm: vm, record, place, isBefore ? .beforePart : [])
    }
    if let frames = removed, update.slot?.isLogging != true {
      if vms[vm].dirtyLogs.logs(frames) {
        enqueue(.dirtyLog(.free(frames.start)), vm: vm, record, place)
      }
      vms[vm].dirtyLogs.forget(frames)
    }
    if let base = update.change == .flagsOnly ? update.slot?.base : update.oldBase {
      found.timeline?.note(.remove(vm: vm.position, base: base), at: record.time)
    }
    guard let slot = update.slot else { return }

    let before = update.change == .flagsOnly ? takeOut(slot.base, of: vm) : nil
    if performsOperations {
      changeDirtyLog(slot, before: before, oldFrames: removed, vm: vm, record, place)
      if let before {
        let isOpen = mayLackCommit(of: before, vm)
        if isOpen { lookahead.noteFlags(before: slot, of: vm, in: clock.epoch) }
        if isOpen || before.isLogging != slot.isLogging {
          switchLogging(slot, vm: vm, record, place, since: since)
        }
      }
    }
    vms[vm].slots.lastChange = clock.now
    if mayLackCommits(vm) {
      for gone in vms[vm].slots.contradicted(by: slot) { _ = takeOut(gone.base, of: vm) }
    }
    vms[vm].slots.insert(slot, in: clock.epoch)
    lookahead.settled.append(.slotInserted(slot), vm)
    found.timeline?.note(.insert(vm: vm.position, slot), at: record.time)
    if before == nil { adopt(slot, vm: vm) }
    if slot.flags.contains(.logDirtyPages), performsOperations {
      // kvm_mmu_wp_memory_region, unless the VMM asked for KVM_DIRTY_LOG_INITIALLY_SET.
      enqueue(.wrprotect(slot.frames), vm: vm, record, place)
    }
  }

  /// Whether commits of a VM may be among the events that are missing.
  private func mayLackCommits(_ vm: VMIndex) -> Bool {
    slots.probe != nil && vms[vm].identity.slotsKnownFrom != clock.epoch
  }

  /// Whether a commit of a slot may be among those that are missing since one told of it.
  @inline(__always)
  func mayLackCommit(of slot: Memslot, _ vm: VMIndex) -> Bool {
    clock.epoch != Epoch(0) && mayLackCommits(vm) && vms[vm].slots.mayLackCommit(of: slot, in: clock.epoch)
  }

  private mutating func takeOut(_ base: GFN, of vm: VMIndex) -> Memslot? {
    guard let slot = vms[vm].slots.table.remove(base: base) else { return nil }
    lookahead.settled.append(.slotRemoved(base: base), vm)
    return slot
  }

  /// Takes out the slot that a change deletes or moves, and returns its frames. Where the trace begins too late to
  /// know the slot, the change tells them.
  private mutating func removeSlot(_ update: MemslotUpdate, vm: VMIndex) -> FrameRange? {
    guard let base = update.oldBase, let pages = update.oldPages else { return nil }
    let old =
      takeOut(base, of: vm)
      ?? Memslot(id: nil, base: base, pages: pages, hva: nil, flags: [], basis: .recorded)
    return old.isPossible(context.pageSize) ? old.frames : nil
  }

  /// A slot is in force a little before its commit: faults that found no slot may belong to it. A VM changes one slot
  /// at a time (`kvm->slots_lock`), so to this one or to none.
  private mutating func adopt(_ slot: Memslot, vm: VMIndex) {
    guard vms[vm].slots.hasFaultsOutside else { return }
    vms[vm].slots.hasFaultsOutside = false
    let pageSize = context.pageSize
    lookahead.updateFaults(threads, where: { $0 == vm }) { fault in
      guard fault.slot == nil, !fault.isOutsideSlots else { return }
      if !fault.sawMMIO, slot.contains(fault.page.gfn(pageSize)) {
        fault.slot = slot
        fault.signs[.blockFits] = slot.supportsBlock(
          of: pageSize.pmdBytes, at: fault.page.gfn(pageSize), pageSize)
      } else {
        fault.isOutsideSlots = true
      }
    }
  }
}

/// What the attribution as a whole comes to.
struct AttributionResult {
  /// Which VMs' vCPUs the threads ran, in the order in which that came out.
  var vcpuSpans: [VCPUSpan] = []
  /// Of how many of these spans it is a guess alone which VM they are of, behind a gap.
  var guessedVCPUs = 0
  /// What is put down for a `VMAttributor`, if anything is.
  var timeline: VMTimeline?
  /// Faults of threads that belong to no VM.
  var unattributedFaults = 0
  /// Notifiers on memory in no slot that is known.
  var unattributedNotifiers = NotifierCounts()
  /// The stage-2 tables that are no VM's own.
  var shadowTables = ShadowTables()
  /// The windows that ended since they were taken last, if somebody looks at them one by one.
  var faults: [ObservedFault] = []
}

/// Where slots are known from: probes, or a history made beforehand.
struct SlotEvents {
  /// The probe that tells of memslots; nil where a schedule does.
  let probe: MemslotProbe?
  private var requests: MemslotRequests
  var schedule: MemslotSchedule
  /// The time of the first event: what a schedule dates before the trace happened by then.
  var firstTime = Nanoseconds(0)
  /// The moment of the last event at which the schedule was asked, and how many events of that moment there were.
  private var moment = Nanoseconds(0)
  private var eventsOfMoment = 0

  init(_ source: MemslotSource, pageSize: PageSize) {
    probe = source.probe
    requests = MemslotRequests(pageSize: pageSize, hasReturns: source.probe == .requestsAndReturns)
    schedule = MemslotSchedule(source.history)
  }

  /// When the schedule's next change is due.
  @inline(__always)
  var due: Nanoseconds { schedule.due }

  /// How many events with an event's time came before it, those of probes on operations left out: what lies between those is as
  /// far as the event before it. Asked of each event from the moment on at which a change is due.
  mutating func eventsBefore(_ record: TraceRecord) -> Int {
    if record.time != moment { (moment, eventsOfMoment) = (record.time, 0) }
    if !record.kind.isOperationProbe { eventsOfMoment += 1 }
    return eventsOfMoment - 1
  }

  /// What an event of the probe that counts tells: a change, or that none is known yet. Nil for an event of another probe.
  mutating func update(
    _ record: TraceRecord, _ pageSize: PageSize
  ) -> (kvm: KernelAddress, update: MemslotUpdate)?? {
    switch record.kind {
    case .commitMemoryRegion where probe == .commits:
      let commit = record.memslotCommit
      return .some(MemslotUpdate(commit, pageSize).map { (commit.kvm, $0) })
    case .setMemoryRegion where probe?.hasRequests == true:
      return .some(requests.call(record.memslotRequest, by: record.tid))
    case .setMemoryRegionReturn where probe == .requestsAndReturns:
      return .some(requests.callReturned(record.probedReturn, to: record.tid))
    default: return .none
    }
  }
}
