internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// The loop of a vCPU's thread: kvm_entry, the guest runs, kvm_exit, perhaps kvm_guest_fault and what follows from it.

extension Attribution {
  mutating func entry(_ record: TraceRecord) {
    guard let thread = threads.thread(record.tid) else { return }
    leaveMemoryManagement(thread)
    reach(thread)
    if threads[thread].order.isUnknown { noteUnseenFault(of: thread) }
    let isInSlot = isFaultInSlot(thread)
    let pc = record.entryPC
    report(threads[thread].order.entry(at: pc, isInSlot: isInSlot, context.recorded), thread, record)
    noteEntry(at: pc, thread)
    closeOpenFault(of: thread, time: record.time, cpu: record.cpu)
    if threads[thread].vcpu.isInUserspace, threads[thread].order.jumps(to: pc) {
      noteJump(of: thread, to: pc)
    }
    threads[thread].vcpu.lastEntry = clock.now
    threads[thread].vcpu.entryEpoch = clock.epoch
    noteFirstEntry(of: thread)
    threads[thread].vcpu.run = .inside
    if threads[thread].nesting.isNested { enterNested(record.entryPC, thread) }
    threads[thread].place.windows &+= 1
    noteActivity(of: thread, at: record.time)
  }

  /// A thread of which it was not known where it was in the loop of KVM_RUN enters the guest or leaves to the VMM: it may have been in a
  /// fault until now. Whose vCPU it runs need not be known yet.
  @inline(never)
  private mutating func noteUnseenFault(of thread: ThreadIndex) {
    // What is found in a gap is not relied on.
    if clock.isInGap { return }
    let since = threads[thread].vcpu.unseenSince(lookahead.timelines.breaks)
    for vm in vms.live where vms[vm].knownFrom != clock.epoch {
      lookahead.settled.append(.unseenFault(since: since, until: clock.now), vm)
    }
  }

  mutating func exit(_ record: TraceRecord) {
    guard let thread = threads.thread(record.tid) else { return }
    leaveMemoryManagement(thread)
    reach(thread)
    let exit = record.vcpuExit
    report(
      threads[thread].order.exit(at: exit.pc, isTrap: exit.isTrap, exceptionClass: exit.exceptionClass),
      thread, record)
    if threads[thread].jump != nil { goOn(thread, at: exit.pc) }
    closeFaultUnseen(of: thread, time: record.time, cpu: record.cpu)
    threads[thread].vcpu.ranOn = record.cpu
    threads[thread].vcpu.counts.exits += 1
    threads[thread].vcpu.faultBeforeExit = nil
    if exit.isERET || threads[thread].nesting.isNested { leaveNested(exit, thread) }
    if let vm = threads[thread].vcpu.vm { vms[vm].activity.lastSeen = record.time }
  }

  /// kvm_access_fault, kvm_mmio and kvm_userspace_exit: what became of the fault whose window is open.
  mutating func windowEvent(_ record: TraceRecord) {
    // A vCPU that is powered off shows in the ends of KVM_RUN alone.
    guard
      let thread = record.kind == .userspaceExit ? threads.thread(record.tid) : threads.known(record.tid)
    else { return }
    leaveMemoryManagement(thread)
    reach(thread)
    switch record.kind {
    case .userspaceExit:
      if threads[thread].order.isUnknown { noteUnseenFault(of: thread) }
      userspaceExit(record, thread)
    case .mmio, .mmioNISV: mmio(record, thread)
    // kvm_access_fault tells the replay nothing that the fault's own syndrome did not.
    default: report(threads[thread].order.accessFault(record.accessFaultIPA), thread, record)
    }
  }

  private mutating func userspaceExit(_ record: TraceRecord, _ thread: ThreadIndex) {
    let isInSlot = isFaultInSlot(thread)
    let exit = record.userspaceExit
    report(
      threads[thread].order.userspaceExit(
        takesAbort: exit.takesAbort, isInSlot: isInSlot, context.recorded),
      thread, record)
    // -EINTR only says that a signal came.
    if exit.errno < 0, exit.errno != -4, let fault = threads[thread].vcpu.openFault {
      lookahead[fault].failed = true
      lookahead[fault].isBadAddress = exit.errno == KernelResult.badAddress.rawValue
    }
    noteExit(thread, isInterrupted: exit.errno == -4)
    closeOpenFault(of: thread, time: record.time, cpu: record.cpu)
    if threads[thread].vcpu.run != .outside { noteStop(of: thread, record) }
    threads[thread].vcpu.run = .outside
    if context.survey.faults.nesting.isSeen { exitNested(record.userspaceExit, thread) }
    noteActivity(of: thread, at: record.time)
  }

  private mutating func mmio(_ record: TraceRecord, _ thread: ThreadIndex) {
    // Type 1 completes a read, at once or after the VMM has answered it.
    let isAccess = record.kind == .mmio && record.mmio.type != 1
    if isAccess {
      threads[thread].vcpu.counts.mmioExits += 1
    } else if threads[thread].vcpu.isInUserspace {
      threads[thread].vcpu.run = .completing
    }
    let fault = threads[thread].vcpu.openFault
    let far = fault.map { lookahead[$0].event.far }
    report(
      threads[thread].order.mmio(isAccess ? record.mmio.address : nil, far: far), thread, record)
    if let fault { lookahead[fault].sawMMIO = true }
  }

  /// One of the VM's threads did something.
  @inline(__always)
  private mutating func noteActivity(of thread: ThreadIndex, at time: Nanoseconds) {
    guard let vm = threads[thread].vcpu.vm else { return }
    vms[vm].activity.last = clock.now
    vms[vm].activity.lastSeen = time
  }

  // MARK: Faults

  mutating func guestFault(_ record: TraceRecord) {
    guard let thread = threads.thread(record.tid) else {
      found.unattributedFaults += 1
      return
    }
    leaveMemoryManagement(thread)
    reach(thread)
    closeFaultUnseen(of: thread, time: record.time, cpu: record.cpu)
    let event = record.guestFault
    report(threads[thread].order.guestFault(event.ipa, event.esr), thread, record)
    checkAlone(event, thread, record)
    if context.survey.faults.nesting.isSeen, isNested(thread, at: record.time) {
      return nestedFault(event, thread, record)
    }
    settleUnmaps(thread, event)
    compareWithLastFault(of: thread, event)
    let page = event.ipa.alignedDown(to: context.pageSize.bytes)
    let vm = vm(ofThread: thread, touching: page.gfn(context.pageSize), at: record)
    if threads[thread].jump != nil { settleJump(of: thread, event, vm, record) }
    vms[vm].faults.add(event, isProtected: vms[vm].identity.isProtected)
    vms[vm].activity.lastSeen = record.time
    guard page.rawValue < IPA.limit else {
      vms[vm].faultsOutside += 1
      return
    }
    open(event, page, vm, thread, record)
    boundTimelines()
  }

  /// The window of a fault begins.
  private mutating func open(
    _ event: GuestFault, _ page: IPA, _ vm: VMIndex, _ thread: ThreadIndex, _ record: TraceRecord
  ) {
    let pageSize = context.pageSize
    let gfn = page.gfn(pageSize)
    let slot = vms[vm].slots.table.slot(gfn)
    if vms[vm].dirtyLogs.isActive { readDirtyLog(event, gfn, vm: vm, thread, record) }
    if slot == nil { vms[vm].slots.hasFaultsOutside = true }
    let canHoldBlock = slot?.supportsBlock(of: pageSize.pmdBytes, at: gfn, pageSize) ?? false
    let lacksCommit = slot.map { mayLackCommit(of: $0, vm) } ?? false
    let peers = peers(gfn, canHoldBlock: canHoldBlock && (slot?.isLogging == false || lacksCommit), vm)
    var evidence = evidence(gfn, isInSlot: slot != nil, peers.faults, vm: vm, thread)
    evidence.mayLackCommit = lacksCommit
    let access = FaultAccess(event.esr)
    let node = TimelineNode(
      access, gfn, by: record.tid, ranOn: threads[thread].vcpu.ranOn, at: clock.now,
      entry: threads[thread].vcpu.lastEntry)
    var known = signs(event, vm, canHoldBlock: canHoldBlock)
    if let slot, slot.flags.contains(.guestMemfd) { known.formUnion(signs(ofGuestMemfd: access.kind)) }
    let id = lookahead.open(
      FaultWindow(
        event: event, page: page, access: access,
        origin: FaultOrigin(
          cpu: record.cpu, tid: record.tid, vcpu: Int32(truncatingIfNeeded: threads[thread].vcpu.index),
          place: threads[thread].place),
        slot: slot, signs: known, begin: clock.now, evidence: evidence),
      node, vm: vm, canHoldBlock: canHoldBlock)
    lookahead.notePUD(id, vm: vm)
    if peers.areInRegion || access.level < .l2 || peers.faults.contains(.mayResize) {
      noteRivals(of: id, gfn, canHoldBlock: canHoldBlock, vm)
    }
    threads.open(id, at: gfn, of: thread, vm: vm)
    if context.options.observed.contains(.faults) { threads[thread].vcpu.faultTime = record.time }
  }

  /// What is known of a window when it begins.
  @inline(__always)
  private func signs(_ event: GuestFault, _ vm: VMIndex, canHoldBlock: Bool) -> WindowSigns {
    var signs: WindowSigns = canHoldBlock ? .blockFits : []
    if vms[vm].identity.isProtected {
      if event.isMemShare { signs.insert(.memShare) }
    } else if !isSettled(vm) || context.part.slice?.otherVMs != nil && vms[vm].mayHaveOtherMemory {
      // Unmaps of memory that is in no known slot were left out of a part by VM.
      signs.insert(.invalidated)
    }
    if !vms[vm].unmaps.unknown.isEmpty { signs.insert(.invalidated) }
    guard vms[vm].unmaps.unfinished > 0 else { return signs }
    signs.insert(.invalidated)
    let isCopyOnWrite = notifiers.unmapsUnderway.contains {
      $0.unmap.vm == vm && threads[$0.thread].vcpu.openFault != nil
    }
    if isCopyOnWrite { signs.insert(.copyOnWrite) }
    return signs
  }

  /// The window of a thread's fault ends: the fault joins the queue.
  private mutating func closeOpenFault(of thread: ThreadIndex, time: Nanoseconds, cpu: CPUIndex) {
    guard let id = threads.closeFault(of: thread) else { return }
    guard let vm = threads[thread].vcpu.vm else { preconditionFailure("a fault is of a vCPU") }
    lookahead.close(id, vm: vm, at: clock.now)
    if threads[thread].mayBeOfOtherVM { doubtOthers(than: vm, since: lookahead[id].evidence.entry) }
    completeEvidence(of: id, vm: vm, on: cpu)
    if lookahead[id].evidence.isSlotRemoved {
      let slot = vms[vm].slots.table.slot(lookahead[id].page.gfn(context.pageSize))
      lookahead.close(id, isInSlot: slot != nil, at: clock.now)
    }
    if vms[vm].dirtyLogs.isActive { noteGrant(of: id, vm: vm) }
    if lookahead[id].sawMMIO { vms[vm].faults.mmio += 1 }
    if lookahead[id].signs.contains(.waits), let own = lookahead.waits(of: id).ownNotification {
      lookahead.noteAhead(of: own, faultEndedAt: clock.now, clock.now)
    }
    if lookahead[id].isOpenToNext {
      threads[thread].vcpu.lastFault = LastFault(
        begin: lookahead[id].begin, end: clock.now, event: lookahead[id].event,
        epoch: lookahead[id].evidence.entryEpoch)
    }
    let place = ThreadPlace(
      windows: lookahead[id].place.windows, notifiers: threads[thread].place.notifiers)
    // It cannot have ended after its VM.
    let time = vms[vm].identity.end.map { min(time, $0.time) } ?? time
    if context.options.observed.contains(.faults) { observe(id, of: thread, vm: vm, end: time) }
    lookahead.enqueue(
      PendingRecord(
        action: .fault(id), vm: vm, sequence: clock.now, time: time, cpu: lookahead[id].cpu,
        tid: lookahead[id].tid, place: place), vms)
  }

  /// Somebody looks at faults one by one.
  @inline(never)
  private mutating func observe(_ id: FaultID, of thread: ThreadIndex, vm: VMIndex, end: Nanoseconds?) {
    found.faults.append(
      ObservedFault(lookahead[id], vm: vm, begin: threads[thread].vcpu.faultTime, end: end))
  }

  /// The window of a thread's open fault, if it has one, ends unseen: its kvm_entry was not recorded, or lost, and the
  /// thread is past it. Whether the fault did anything only later faults can tell.
  @inline(__always)
  mutating func closeFaultUnseen(of thread: ThreadIndex, time: Nanoseconds, cpu: CPUIndex) {
    guard let fault = threads[thread].vcpu.openFault else { return }
    lookahead[fault].mayBeInvalidated = true
    lookahead[fault].isEndUnseen = true
    closeOpenFault(of: thread, time: time, cpu: cpu)
    threads[thread].place.windows &+= 1
  }

  /// Nothing more will be known of the thread's open fault.
  mutating func abandonOpenFault(of thread: ThreadIndex) {
    guard let fault = threads.closeFault(of: thread), let vm = threads[thread].vcpu.vm else { return }
    if context.options.observed.contains(.faults) { observe(fault, of: thread, vm: vm, end: nil) }
    let sawMMIO = lookahead[fault].sawMMIO
    if sawMMIO { vms[vm].faults.mmio += 1 }
    // An access to a device came to nothing, whatever follows.
    if sawMMIO, lookahead[fault].slot == nil {
      vms[vm].faultsOutside += 1
    } else {
      vms[vm].faults.cut += 1
    }
    lookahead.abandon(fault, vm: vm)
  }

  // MARK: Races for mmu_lock

  /// contention_begin and contention_end: a thread waits for a VM's `mmu_lock`, or another lock. What it was at before a gap may be over,
  /// and the lock one that it takes for something else.
  mutating func contention(_ record: TraceRecord) {
    guard let thread = threads.known(record.tid), threads[thread].epoch == clock.epoch else { return }
    if threads[thread].notifier.last != nil {
      if record.kind == .contentionBegin {
        threads[thread].notifier.waitsSince = clock.now
      } else {
        notificationHasLock(thread, record)
      }
    } else if let fault = threads[thread].vcpu.openFault, let vm = threads[thread].vcpu.vm {
      if threads[thread].mayBeOfOtherVM { settleVM(of: thread, waitingFor: record.contendedLock) }
      lookahead.noteWait(record, of: fault, at: clock.now, isMMULock: isMMULock(record, of: vm))
    }
  }

  /// Whether a lock is the `mmu_lock` of a VM, which is the first field of `struct kvm`. Where no probe told its address:
  /// it is the one lock in the course of a fault that readers and writers spin for.
  @inline(__always)
  private func isMMULock(_ record: TraceRecord, of vm: VMIndex) -> Bool {
    if let kvm = vms.roster.kvm(of: vm) { return kvm == record.contendedLock }
    return record.contentionFlags.contains(.spin)
      && !record.contentionFlags.isDisjoint(with: [.read, .write])
  }

  /// A fault begins: which of the open ones race with it, and which of these have to change the same entry? Those are in its
  /// region, but for entries above level 2.
  ///
  /// Under the write lock the second of them finds what the first one did. Under the read lock it may have read the entry
  /// before, and gives up where that has changed (`stage2_try_break_pte`, `stage2_try_set_pte`).
  private mutating func noteRivals(of id: FaultID, _ gfn: GFN, canHoldBlock: Bool, _ vm: VMIndex) {
    let block = lookahead.timelines.block(gfn)
    threads.open.forEach(of: vm) { other in
      if other.gfn == gfn || canHoldBlock && lookahead.timelines.block(other.gfn) == block {
        lookahead.markRace(other.fault, id)
      }
      if sharesEntry(id, other.fault, vm) {
        lookahead[id].sharesEntry = true
        lookahead[other.fault].sharesEntry = true
        if lookahead[id].findsTableGone(of: lookahead[other.fault]) {
          lookahead[id].evidence.peers.insert(.mayResize)
        }
      } else if context.profile.profile.faultLock == .read,
        lookahead[id].mayFindBroken(by: lookahead[other.fault], context.pageSize)
      {
        lookahead[id].sharesEntry = true
      }
    }
  }

  /// Whether two faults that are handled under the read lock have to change the same entry.
  private func sharesEntry(_ one: FaultID, _ other: FaultID, _ vm: VMIndex) -> Bool {
    guard context.profile.profile.faultLock == .read else { return false }
    if lookahead[one].mayShareEntry, lookahead[one].needsEntry(of: lookahead[other], context.pageSize) {
      return true
    }
    return arePUDsKnown(one, other, vm)
      && lookahead[one].needsPUDEntry(of: lookahead[other], context.pageSize, arePUDsKnown: true)
  }

  /// Whether leaves of level 1 are known to be there: a fault met one, or `one` found the table gone that `other` had found, though
  /// nothing was unmapped in between, as it is while a block takes its place.
  private func arePUDsKnown(_ one: FaultID, _ other: FaultID, _ vm: VMIndex) -> Bool {
    if lookahead.sawPUDs { return true }
    guard lookahead[one].findsTableGone(of: lookahead[other]), mayBeInPUD(one) else { return false }
    return vms[vm].unmaps.unfinished == 0 && vms[vm].unmaps.last <= lookahead[other].evidence.entry
  }

  /// What a thread's fault says about its fault before, where that may have come to nothing.
  @inline(__always)
  private mutating func compareWithLastFault(of thread: ThreadIndex, _ event: GuestFault) {
    guard let last = threads[thread].vcpu.lastFault else { return }
    threads[thread].vcpu.lastFault = nil
    // Another instruction's fault says nothing, nor does one behind a gap: in that the thread may have got on, and come back.
    if event.pc == last.event.pc, last.epoch == clock.epoch { takeIn(event, last, thread) }
  }

  @inline(never)
  private mutating func takeIn(_ event: GuestFault, _ last: LastFault, _ thread: ThreadIndex) {
    guard let next = event.next(after: last.event) else { return }
    let (windows, ranOn) = (threads[thread].place.windows, threads[thread].vcpu.ranOn)
    guard let (id, vm) = lookahead.waitingFault(endedAt: last.end) else { return }
    let isAtOnce =
      lookahead[id].place.windows &+ 1 == windows && ranOn == lookahead[id].cpu
      && ranOn == lookahead[id].evidence.endedOn
    lookahead[id].nextAccess = next == .again && isAtOnce ? .againAtOnce : next
    threads[thread].vcpu.hasRetried = next == .again && lookahead.isStillMapped(id)
    if threads[thread].vcpu.hasRetried { noteRetry(of: id) }
    guard next == .progressed else { return }
    noteProgress(of: id, vm)
    // It got the page mapped, so it had the lock that the unmap waited for.
    if let unmap = lookahead.waits(of: id).unmap {
      lookahead.noteAhead(of: unmap, faultEndedAt: last.end, clock.now)
    }
  }

  /// A fault's thread got on. If nobody else can have mapped the page, the fault did: no unmap made it retry.
  private mutating func noteProgress(of id: FaultID, _ vm: VMIndex) {
    guard lookahead[id].mayBeInvalidated, lookahead[id].kind == .translation, lookahead[id].slot != nil,
      !lookahead[id].sawOwnUnmap,
      !lookahead[id].sawMMIO, !lookahead[id].failed, !lookahead[id].gotException,
      lookahead.isAlone(id, of: vm), lookahead[id].evidence.entryEpoch == clock.epoch, !clock.isInGap
    else { return }
    lookahead[id].mayBeInvalidated = false
  }
}

// MARK: What the divergence rules need

extension Attribution {
  /// An event of a thread: what was known of its place before a gap in the trace is not known behind it.
  @inline(__always)
  mutating func reach(_ thread: ThreadIndex) {
    threads[thread].lastEvent = clock.now
    if threads[thread].epoch != clock.epoch || clock.isInGap {
      threads[thread].epoch = clock.epoch
      threads[thread].order.forget()
      threads[thread].vcpu.ranOn = nil
      threads[thread].vcpu.faultBeforeExit = nil
    }
  }

  /// The rule about the order of a thread's events that an event broke, if it broke one.
  @inline(__always)
  mutating func report(_ rule: DivergenceRule?, _ thread: ThreadIndex, _ record: TraceRecord) {
    if let rule { report(.unexplained(rule), thread, record) }
  }

  /// The same with what accounts for it.
  @inline(__always)
  mutating func report(_ judgement: Judgement?, _ thread: ThreadIndex, _ record: TraceRecord) {
    if let judgement, context.recorded.loop { reportBroken(judgement, thread, record) }
  }

  /// Whether a slot holds the address of the fault that a thread is handling, and is not on its way out.
  @inline(__always)
  private func isFaultInSlot(_ thread: ThreadIndex) -> Bool {
    threads[thread].vcpu.openFault.map { lookahead[$0].slot != nil } ?? false
  }

  private mutating func reportBroken(
    _ judgement: Judgement, _ thread: ThreadIndex, _ record: TraceRecord
  ) {
    let vm = threads[thread].vcpu.vm
    let ipa: IPA? =
      switch record.kind {
      case .guestFault: record.guestFault.ipa
      case .accessFault: record.accessFaultIPA
      case .mmio: record.mmio.address
      default: nil
      }
    let place = DivergencePlace(time: record.time, cpu: record.cpu, tid: record.tid, ipa: ipa)
    divergences.note(judgement, vm: vm, block: nil, order: lookahead.settled.nextOrder(), at: place) {
      judgement in
      Divergence(
        rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, time: record.time,
        cpu: record.cpu, tid: record.tid, vm: vm?.position, ipa: ipa, expected: judgement.rule.statement,
        observed: DivergenceWords.event(record), basis: .recorded, count: 1, state: nil, recentEvents: [])
    }
  }

  /// D9, D19 and D20: what an event must satisfy by itself. Where events are missing because the file is damaged, the last one
  /// before them may be, too.
  @inline(__always)
  private mutating func checkAlone(_ fault: GuestFault, _ thread: ThreadIndex, _ record: TraceRecord) {
    if let rule = SyndromeRules.check(fault.esr, fault.ipa) { report(rule, fault, thread, record) }
  }

  @inline(never)
  private mutating func report(
    _ rule: DivergenceRule, _ fault: GuestFault, _ thread: ThreadIndex, _ record: TraceRecord
  ) {
    // What EL2 makes up for a protected guest lacks a bit in some kernels.
    if fault.isMemShare, let vm = threads[thread].vcpu.vm, vms[vm].identity.isProtected { return }
    reportBroken(besideGap(rule), thread, record)
  }

  mutating func checkAlone(unmap range: HVARange, _ thread: ThreadIndex, _ record: TraceRecord) {
    let coversPages = SyndromeRules.coversPages(start: range.start, end: range.end, context.pageSize)
    if !coversPages {
      reportBroken(besideGap(.notifierCoversPages), thread, record)
    }
  }

  private func besideGap(_ rule: DivergenceRule) -> Judgement {
    clock.isInGap ? .unknown(rule, .lostEvents) : .unexplained(rule)
  }

  /// Whether every unmap that may be under way has been seen to begin, or is taken to have.
  @inline(__always)
  private func isSettled(_ vm: VMIndex) -> Bool {
    vms[vm].knownFrom == clock.epoch || vms[vm].unmaps.settledEpoch == clock.epoch
  }

  /// A thread faults again. If it got through its fault before, that was not made to retry: no unmap was under way in its window
  /// (`mmu_invalidate_retry`), but for one that still waited for mmu_lock.
  @inline(__always)
  private mutating func settleUnmaps(_ thread: ThreadIndex, _ event: GuestFault) {
    if let vm = threads[thread].vcpu.vm, !isSettled(vm) || !vms[vm].unmaps.unknown.isEmpty,
      !threads[thread].mayBeOfOtherVM
    {
      settleUnmaps(of: vm, thread, event)
    }
  }

  @inline(never)
  private mutating func settleUnmaps(of vm: VMIndex, _ thread: ThreadIndex, _ event: GuestFault) {
    guard let last = threads[thread].vcpu.lastFault, !clock.isInGap,
      threads[thread].vcpu.entryEpoch == clock.epoch,
      last.epoch == clock.epoch, event.next(after: last.event) == .progressed
    else { return }
    vms[vm].unmaps.settledEpoch = clock.epoch
    vms[vm].unmaps.unknown.removeAll { $0.since < last.begin }
  }

  /// What is known of a fault when it comes in.
  @inline(__always)
  private mutating func evidence(
    _ gfn: GFN, isInSlot: Bool, _ peers: FaultPeers, vm: VMIndex, _ thread: ThreadIndex
  ) -> FaultEvidence {
    var evidence = FaultEvidence()
    evidence.entry = threads[thread].vcpu.lastEntry
    evidence.entryEpoch = threads[thread].vcpu.entryEpoch
    evidence.mayBeOfOtherVM = threads[thread].mayBeOfOtherVM
    evidence.ranOn = threads[thread].vcpu.ranOn
    evidence.peers = peers
    evidence.repeatsRetry = threads[thread].vcpu.hasRetried
    threads[thread].vcpu.hasRetried = false
    guard isInSlot else { return evidence }
    let region = lookahead.touch(gfn, vm: vm, lastUnmap: vms[vm].unmapsBefore(clock.epoch))
    evidence.region = region
    // The age that a thread asked for last is under way until the thread does anything else.
    let activity = lookahead.regions[region, of: vm]
    if let age = activity.lastAgeThread, threads[age].lastEvent == activity.lastAge {
      evidence.mayBeAged = true
    }
    return evidence
  }

  /// Other vCPUs' faults that are open when a fault on `gfn` comes: those in slots, and whether any is in its region. (It changes
  /// nothing, but as a function that says so it would be handed a copy of the attribution for each fault.)
  @inline(__always)
  private mutating func peers(
    _ gfn: GFN, canHoldBlock: Bool, _ vm: VMIndex
  ) -> (faults: FaultPeers, areInRegion: Bool) {
    let block = lookahead.timelines.block(gfn)
    // Outside the region all that counts is whether there is one.
    let areInVM = threads.open.contains(of: vm) { lookahead[$0.fault].slot != nil }
    var peers: FaultPeers = areInVM ? .inVM : []
    // An open fault may break a block of PUD_SIZE around the frame, or map one.
    if areInVM, lookahead.sawPUDs {
      let shift = 2 * context.pageSize.bitsPerLevel
      threads.open.forEach(of: vm) { other in
        guard other.gfn.rawValue >> shift == gfn.rawValue >> shift else { return }
        if lookahead[other.fault].kind != .accessFlag { peers.insert(.mayResize) }
      }
    }
    guard threads.open.contains(of: vm, where: { lookahead.timelines.block($0.gfn) == block }) else {
      return (peers, false)
    }
    threads.open.forEach(of: vm) { other in
      guard lookahead.timelines.block(other.gfn) == block, lookahead[other.fault].slot != nil else { return }
      peers.insert(.inRegion)
      if other.gfn == gfn { peers.insert(.onPage) }
      let breaksBlock = lookahead[other.fault].kind == .permission && lookahead[other.fault].level < .l3
      if canHoldBlock || breaksBlock { peers.insert(.mayResize) }
    }
    return (peers, true)
  }

  /// The window of a fault ends: what was unmapped and aged in it is known now.
  @inline(__always)
  mutating func completeEvidence(of id: FaultID, vm: VMIndex, on cpu: CPUIndex) {
    lookahead[id].evidence.endEpoch = clock.epoch
    lookahead[id].evidence.endedOn = cpu
    let entry = lookahead[id].evidence.entry
    if vms[vm].unmaps.unfinished > 0 {
      lookahead[id].evidence.unmapOfVM = .underway
      let block = lookahead.timelines.block(lookahead[id].page.gfn(context.pageSize))
      if notifiers.unmapsUnderway.contains(where: { $0.unmap.vm == vm && $0.blocks.contains(block) }) {
        lookahead[id].evidence.unmapOfRegion = .underway
      }
    } else if vms[vm].unmaps.last > entry {
      lookahead[id].evidence.unmapOfVM = .ended
    }
    guard let index = lookahead[id].evidence.region else { return }
    let region = lookahead.regions[index, of: vm]
    if lookahead[id].evidence.unmapOfRegion == .none, region.lastUnmap > entry {
      lookahead[id].evidence.unmapOfRegion = .ended
    }
    if region.lastAge > lookahead[id].begin { lookahead[id].evidence.mayBeAged = true }
    if lookahead[id].sharesEntry { lookahead[id].evidence.isOutlasted = isOutlasted(id, vm) }
  }

  /// Whether a leaf of level 1 may hold the page of a fault. That the host has such memory may come out later.
  @inline(__always)
  private func mayBeInPUD(_ id: FaultID) -> Bool {
    lookahead[id].slot.map { context.mayMapPUD($0, at: lookahead[id].page.gfn(context.pageSize)) } ?? false
  }

  /// Whether another vCPU's fault on the same entry of level 1, which may have come first, is still open.
  @inline(__always)
  private func isOutlasted(_ id: FaultID, _ vm: VMIndex) -> Bool {
    mayBeInPUD(id)
      && threads.open.contains(of: vm) { other in
        lookahead[id].mayFollow(lookahead[other.fault])
          && lookahead[id].needsPUDEntry(
            of: lookahead[other.fault], context.pageSize, arePUDsKnown: arePUDsKnown(id, other.fault, vm))
      }
  }
}
