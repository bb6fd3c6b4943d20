internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Lets what happens wait until what decides it has usually been seen, and decides it then.
///
/// A fault enters the queue when its window ends, which is when KVM acted (between the event and the thread's next
/// kvm_entry), a notification when its notifier is called. The record that has waited longest leaves a full queue. Then the fault's window, the
/// timeline of its region and the waits of its rivals say what became of it and who was first; nothing of the model does,
/// so what is handed down is settled in one order for all VMs, and each VM's execution takes its own.
struct Lookahead: ~Copyable {
  private(set) var faults = FaultSlab()
  private(set) var timelines: RegionTimelines
  private var queue: LagQueue<PendingRecord>
  private var order = SettlementOrder()
  /// What waits for its turn of vCPUs that were initialised again, by its place in the queue: that of an event of the VM's alone.
  private var resets: [Sequence: VCPUReset] = [:]
  /// The nodes of open faults whose windows last longer than the timelines reach back.
  private var parked: [FaultID: TimelineNode] = [:]
  /// What events say of the regions that faults have touched.
  var regions: RegionRegisters
  private let faultLock: Profile.FaultLock
  /// The leaves of level 1 that faults have met.
  private var puds: PUDProofs
  var loggingSwitches = LoggingSwitches()
  /// VMs whose vCPUs have all left the guest for good; known at the end of the trace only.
  private var stopped: Set<VMIndex> = []
  /// What is settled.
  var settled = ExecutionQueue()

  /// - Parameters:
  ///   - lag: how many records a decision waits for.
  ///   - seesEntries: whether kvm_entry is recorded.
  init(pageSize: PageSize, faultLock: Profile.FaultLock, lag: Int, seesEntries: Bool) {
    timelines = RegionTimelines(pageSize: pageSize, seesEntries: seesEntries)
    queue = LagQueue(lag: lag)
    regions = RegionRegisters(pageSize: pageSize)
    puds = PUDProofs(pageSize: pageSize)
    self.faultLock = faultLock
  }

  var pageSize: PageSize { timelines.pageSize }

  subscript(fault: FaultID) -> FaultWindow {
    @inline(__always) unsafeAddress { UnsafePointer(faults.place(of: fault)) }
    @inline(__always) unsafeMutableAddress { faults.place(of: fault) }
  }

  /// The place in the merged trace of the record that has waited longest; `now` where none waits.
  func oldestWaiting(_ now: Sequence) -> Sequence { queue.first?.sequence ?? now }

  // MARK: Faults come and go

  /// A fault's window begins.
  @inline(__always)
  mutating func open(_ fault: FaultWindow, _ node: TimelineNode, vm: VMIndex, canHoldBlock: Bool) -> FaultID {
    let id = faults.insert(fault)
    faults[id].node = timelines.append(fault: node, vm: vm, canHoldBlock: canHoldBlock)
    return id
  }

  /// A fault's window ends.
  @inline(__always)
  mutating func close(_ fault: FaultID, vm: VMIndex, at sequence: Sequence) {
    if !parked.isEmpty, var node = parked.removeValue(forKey: fault) {
      node.sequence = sequence
      faults[fault].node = timelines.append(fault: node, vm: vm, canHoldBlock: false)
    }
    faults[fault].end = sequence
    if faults[fault].evidence.isLoggingSwitched { loggingSwitches.noteEnd(of: faults[fault], vm) }
    if let node = faults[fault].node { timelines.close(node, at: sequence) }
  }

  /// Nothing will be known of an open fault.
  mutating func abandon(_ fault: FaultID, vm: VMIndex) {
    parked[fault] = nil
    if let node = faults[fault].node { timelines.release(fault: node, vm: vm) }
    faults.remove(fault)
  }

  /// What was waited for in the window of a fault.
  @inline(__always)
  func waits(of fault: FaultID) -> FaultWaits { faults.waits(of: fault) }

  /// contention_begin or contention_end of a fault's thread.
  mutating func noteWait(_ record: TraceRecord, of fault: FaultID, at now: Sequence, isMMULock: Bool) {
    faults.updateWaits(of: fault) { $0.note(record, at: now, isMMULock: isMMULock) }
  }

  /// An unmap of its page waited for the lock, which the fault may have had.
  mutating func noteWait(ofUnmap unmap: Sequence, for fault: FaultID) {
    faults.updateWaits(of: fault) { $0.unmap = unmap }
  }

  /// The slot of an open fault was deleted or moved away before `now`.
  mutating func noteRemoval(at now: Sequence, for fault: FaultID) {
    faults.updateWaits(of: fault) { $0.removal = now }
    self[fault].evidence.isSlotRemoved = true
  }

  /// The window of a fault whose slot was removed in it has ended.
  ///
  /// If the fault found the slot, it was handled before that was unmapped: `kvm_swap_active_memslots` waits for all who look
  /// at the slots (`synchronize_srcu_expedited`), and a fault's handler does to its end. If it did not, it came to kvm_mmio. But where
  /// a slot is again when the window ends, the handler may have begun so late that it found this one.
  mutating func close(_ fault: FaultID, isInSlot: Bool, at now: Sequence) {
    if isInSlot {
      faults.updateWaits(of: fault) { $0.removal = nil }
    } else if let removal = waits(of: fault).removal {
      noteAhead(of: removal, faultEndedAt: now, now)
    }
  }

  /// The thread of an open fault has made its first notification.
  mutating func noteOwnNotification(of fault: FaultID, at sequence: Sequence) {
    faults.updateWaits(of: fault) { $0.ownNotification = sequence }
  }

  /// A fault as it is now, to be held against the model on its own.
  mutating func copy(_ fault: FaultWindow) -> FaultID { faults.insert(fault) }

  /// Two open faults race for one entry of a table, or one page.
  mutating func markRace(_ one: FaultID, _ other: FaultID) {
    guard let a = faults[one].node, let b = faults[other].node else { return }
    timelines.markRace(a, b)
  }

  /// Something happens to frames: the timelines of the regions where a fault waits take it in.
  mutating func note(
    _ kind: TimelineNode.Kind, _ frames: FrameRange, vm: VMIndex, by tid: ThreadID, at now: Sequence
  ) {
    timelines.append(range: TimelineNode(kind, frames, by: tid, at: now), vm: vm)
  }

  /// Events are missing from here on, or are missing no more.
  mutating func note(breakAt now: Sequence) { timelines.note(breakAt: now) }

  /// How many nodes the timelines may have.
  private var timelinesMax: Int { 16 &* queue.lag &+ 4096 }

  /// Whether more happens to regions in which faults wait than the queue holds: a window does not end, because its thread is gone, or
  /// notifiers concern every region.
  var hasLongTimelines: Bool {
    @inline(__always) get { timelines.count > timelinesMax }
  }

  /// Keeps the timelines from growing without end.
  @inline(never)
  mutating func shortenTimelines(_ threads: borrowing ThreadRegister, _ vms: borrowing VMRegister) {
    let limit = timelinesMax / 2
    let oldest = queue.first?.sequence ?? .pending
    park(threads, before: oldest)
    while timelines.count > limit, let oldest = queue.popFirst() { settle(oldest, vms) }
    if timelines.count > limit { park(threads, before: .pending) }
  }

  /// Takes open faults that came before `sequence` out of their timelines until their windows end. What happened in the
  /// region meanwhile is forgotten, so nothing about it is certain.
  private mutating func park(_ threads: borrowing ThreadRegister, before sequence: Sequence) {
    for open in threads.open.all {
      guard let index = faults[open.fault].node, timelines[index].sequence < sequence else { continue }
      var node = timelines[index]
      timelines.release(fault: index, vm: open.vm)
      node.detach()
      parked[open.fault] = node
      faults[open.fault].node = nil
    }
  }

  // MARK: Regions

  /// The region of a frame that a fault touches.
  ///
  /// - Parameter lastUnmap: as in `RegionRegister.insert`.
  @inline(__always)
  mutating func touch(_ gfn: GFN, vm: VMIndex, lastUnmap: Sequence) -> RegionIndex {
    let (region, isNew) = regions.insert(gfn, vm: vm, lastUnmap: lastUnmap)
    if isNew { settled.append(.regionTouched(region, block: timelines.block(gfn)), vm) }
    return region
  }

  /// A fault comes soon: what it will find of its region is brought nearer.
  @inline(__always)
  mutating func bringNear(_ gfn: GFN, of vm: VMIndex) {
    timelines.prefetch(gfn, of: vm)
    regions.prefetch(gfn, of: vm)
  }

  /// A fault whose window begins, as far as blocks of PUD_SIZE are concerned. Where it met one, the faults before it around it
  /// were mapped by it, too, unless their page was unmapped meanwhile.
  @inline(__always)
  mutating func notePUD(_ fault: FaultID, vm: VMIndex) {
    if puds.isEmpty, faults[fault].level > .l1 { return }
    provePUD(fault, vm: vm)
  }

  @inline(never)
  private mutating func provePUD(_ fault: FaultID, vm: VMIndex) {
    guard puds.note(faults[fault], of: vm) else { return }
    for position in 0..<queue.count {
      guard queue[position].vm == vm, !queue[position].isSettled,
        case .fault(let earlier) = queue[position].action,
        puds.isProven(faults[earlier], by: faults[fault]),
        !timelines.isUnmapped(after: faults[earlier], of: vm, upTo: faults[fault].begin),
        !timelines.breaks.liesBetween(faults[earlier].begin, faults[fault].begin)
      else { continue }
      faults[earlier].evidence.isInPUD = true
    }
  }

  /// Whether any fault met a leaf of level 1.
  var sawPUDs: Bool { !puds.isEmpty }

  // MARK: The queue

  /// Puts a record behind all others; the one that has waited longest leaves a full queue.
  mutating func enqueue(_ record: PendingRecord, _ vms: borrowing VMRegister) {
    assert(queue.isSorted(before: record), "records wait in the order of the trace")
    if queue.isFull, let oldest = queue.popFirst() {
      prefetchNext()
      settle(oldest, vms)
    }
    queue.append(record)
  }

  /// vCPUs were initialised again, at some moment between that of `record` and now: the record is put where it belongs, ahead
  /// of what came since. Whether an age in between found anything mapped is not certain.
  mutating func insert(_ reset: VCPUReset, _ record: PendingRecord, _ vms: borrowing VMRegister) {
    if queue.isFull, let oldest = queue.popFirst() { settle(oldest, vms) }
    resets[record.sequence] = reset
    let position = queue.position { $0.sequence <= record.sequence }
    queue.insert(record, at: position)
    queue.update { later in
      if later.vm == record.vm, later.sequence > record.sequence,
        case .age(let frames, let markOld, _, let epoch) = later.action
      {
        later.action = .age(frames, markOld: markOld, duringFault: true, epoch: epoch)
      }
    }
  }

  /// The faults whose turn comes next were last looked at thousands of records ago: the memory answers while others are
  /// settled. First the window, then what it names.
  @inline(__always)
  private func prefetchNext() {
    let (far, near) = (16, 8)
    guard queue.count > far else { return }
    if case .fault(let id) = queue[far].action { faults.prefetch(id) }
    if case .fault(let id) = queue[near].action, let node = faults[id].node {
      timelines.prefetch(node)
      if let vm = queue[near].vm { timelines.prefetch(faults[id].page.gfn(pageSize), of: vm) }
    }
  }

  /// The trace has ended, and with it these VMs: their vCPUs have all left the guest for good.
  mutating func stop(_ vms: Set<VMIndex>) { stopped = vms }

  /// Settles what still waits.
  mutating func finish(_ vms: borrowing VMRegister) {
    while let record = queue.popFirst() { settle(record, vms) }
  }

  /// Hands a record down, behind those that were ahead of it though their turn comes later.
  private mutating func settle(_ record: PendingRecord, _ vms: borrowing VMRegister) {
    guard !record.isSettled else { return }
    if case .marker(let marker) = record.action {
      settled.settleEnds(before: record.sequence)
      return settled.append(marker: marker)
    }
    guard let vm = record.vm else { return }
    let origin = StepOrigin(record)
    switch record.action {
    case .fault(let id):
      let isProtected = vms[vm].identity.isProtected
      let isRaced = timelines.isRaced(faults[id].node, of: vm)
      if faults[id].lostToLongerFault || isRaced && canFollowRival(id) {
        settleThoseAhead(of: id, record, vms)
      }
      if faults[id].evidence.region == nil { adopt(id, vm, vms) }
      if faults[id].evidence.isLoggingOpen, !isProtected { findLogging(of: id, vm) }
      var decision = decide(id, of: vm, isProtected: isProtected, isRaced: isRaced)
      if faults[id].evidence.isSlotOpen {
        if faults[id].evidence.isSlotRemoved { decision.fate = fate(of: id, record, vm) }
        if !isProtected { settleLogging(of: id, &decision, vm) }
      }
      settled.append(faults.place(of: id), decision, vm, origin, isCheck: false)
      if let node = faults[id].node { timelines.release(fault: node, vm: vm) }
      faults.remove(id)
    case .check(let id):
      settled.append(faults.place(of: id), .none, vm, origin, isCheck: true)
      faults.remove(id)
    case .unmap(let frames):
      settleThoseAhead(ofNotification: record, vms)
      settled.append(.unmap(frames, isDead: isDead(vms[vm], at: record.sequence)), vm, origin)
    case .age(let frames, let markOld, let duringFault, let epoch):
      settleThoseAhead(ofNotification: record, vms)
      let isDead = isDead(vms[vm], at: record.sequence)
      let age = AgeOfFrames(
        frames: frames, markOld: markOld, duringFault: duringFault, isDead: isDead, epoch: epoch)
      settled.append(.age(age), vm, origin)
    case .wrprotect(let frames): settled.append(.wrprotect(frames), vm, origin)
    case .dirtyLog(.clear(_, isProven: false)): break
    case .dirtyLog(let change): settled.append(.dirtyLog(change), vm, origin)
    case .endLogging(let frames): settled.append(.endLogging(frames), vm, origin)
    case .deleteSlot(let frames):
      settleThoseAhead(ofNotification: record, vms)
      settled.append(.deleteSlot(frames), vm, origin)
    case .reset:
      if let reset = resets.removeValue(forKey: record.sequence) { settled.append(reset, vm, origin) }
    case .marker: break
    }
  }

  /// A fault whose slot came into force after it: its region is looked up now.
  @inline(never)
  private mutating func adopt(_ id: FaultID, _ vm: VMIndex, _ vms: borrowing VMRegister) {
    if faults[id].slot == nil { return }
    let lastUnmap = vms[vm].unmapsBefore(faults[id].evidence.endEpoch)
    faults[id].evidence.region = touch(faults[id].page.gfn(pageSize), vm: vm, lastUnmap: lastUnmap)
    faults[id].evidence.isAdopted = true
  }

  /// Decides what a fault did. The timelines are searched only where something follows in them, for a search is handed copies of
  /// them and of the window. (Mutating, though it changes nothing: else it would be handed a copy of all of this.)
  @inline(__always)
  private mutating func decide(
    _ id: FaultID, of vm: VMIndex, isProtected: Bool, isRaced: Bool
  ) -> FaultDecision {
    assert(isRaced == timelines.isRaced(faults[id].node, of: vm), "races are found when faults come in")
    let outcome =
      faults[id].outcome(isProtected: isProtected) ?? outcomeByWhatFollowed(id, of: vm, isMapped: false)
    var decision = FaultDecision(
      outcome: outcome, outcomeIfMapped: outcome, sizeProof: nil, isWrittenLater: false,
      isRaced: isRaced)
    if faults[id].mayRaceCopyOnWrite {
      decision.outcomeIfMapped =
        faults[id].outcome(isProtected: isProtected) ?? outcomeByWhatFollowed(id, of: vm, isMapped: true)
    }
    if faults[id].sharesEntry, faults[id].kind == .translation, faults[id].nextAccess == .unknown {
      decision.isLeftUnmapped = timelines.isLeftUnmapped(by: faults[id], of: vm)
    }
    // Only a map or a relaxation asks for more, and of a protected guest only its right to write.
    guard let slot = faults[id].slot, isProtected || decision.mayPerform else { return decision }
    decision.mayMapBlock = !isProtected && !slot.isLogging && faults[id].signs.contains(.blockFits)
    if decision.mayMapBlock, slot.hva == nil || !faults[id].isOnBlock {
      if faults[id].evidence.isInPUD {
        decision.sizeProof = .pud
      } else if faults[id].node.map({ timelines[$0].next != TimelineNode.none }) ?? true {
        decision.sizeProof = timelines.sizeProof(of: faults[id])
      }
    }
    if !faults[id].isWrite, !slot.isLogging, !slot.flags.contains(.readOnly), hasFollower(id) {
      decision.isWrittenLater = timelines.laterWriteFault(on: faults[id], of: vm)
    }
    return decision
  }

  /// What became of a fault in whose window memory was unmapped.
  @inline(__always)
  private mutating func outcomeByWhatFollowed(_ id: FaultID, of vm: VMIndex, isMapped: Bool) -> FaultOutcome {
    if faults[id].nextAccess == .unknown, !hasFollower(id) { return .performed(.assumed) }
    return timelines.outcomeByWhatFollowed(faults[id], vm, isMapped: isMapped)
  }

  /// Whether another fault on the page of a fault follows.
  @inline(__always)
  private func hasFollower(_ id: FaultID) -> Bool {
    faults[id].node.map { timelines[$0].nextOnPage != TimelineNode.none } ?? true
  }

  /// Whether a VM was being torn down at an event: it is gone by now, or its vCPUs have left the guest for good, and none of
  /// its threads did anything any more. Nothing marks the moment from which `mmu.pgt` is NULL and notifiers have no effect
  /// (`kvm_uninit_stage2_mmu`); giving the memory back takes by far the longest of what follows the last vCPU.
  private func isDead(_ vm: AttributedVM, at sequence: Sequence) -> Bool {
    sequence > vm.activity.last && (vm.isGone || stopped.contains(vm.id))
  }

  // MARK: What still waits

  /// The fault whose window ended at `sequence`, if it still waits, and its VM.
  @inline(__always)
  func waitingFault(endedAt sequence: Sequence) -> (fault: FaultID, vm: VMIndex)? {
    let position = queue.position { $0.sequence < sequence }
    guard position < queue.count, queue[position].sequence == sequence else { return nil }
    return waitingFault(at: position)
  }

  /// How many records wait.
  var waitingCount: Int { queue.count }

  /// The fault that waits at a position from the head, and its VM; nil where something else does.
  @inline(__always)
  func waitingFault(at position: Int) -> (fault: FaultID, vm: VMIndex)? {
    guard !queue[position].isSettled, case .fault(let fault) = queue[position].action,
      let vm = queue[position].vm
    else { return nil }
    return (fault, vm)
  }

  /// The positions, from the head, of what waits from behind a place in the merged trace up to another one.
  @inline(__always)
  func positions(after first: Sequence, upTo last: Sequence = .pending) -> Range<Int> {
    let begin = first == .start ? 0 : queue.position { $0.sequence <= first }
    let end = last == .pending ? queue.count : queue.position { $0.sequence <= last }
    return begin..<max(begin, end)
  }

  /// Takes the fault whose window ended at `sequence` out of its turn, if it still waits.
  private mutating func takeWaitingFault(endedAt sequence: Sequence) -> PendingRecord? {
    guard waitingFault(endedAt: sequence) != nil else { return nil }
    let position = queue.position { $0.sequence < sequence }
    defer { queue[position].isSettled = true }
    return queue[position]
  }

  /// Changes the faults that still wait, the oldest first, and those whose window is open: those of VMs that are
  /// concerned.
  ///
  /// - Parameter since: those alone whose windows end after that place. A slot may change between any two events, and then what
  ///   waits from before the last change is not looked through for each.
  mutating func updateFaults(
    _ threads: borrowing ThreadRegister, where isConcerned: (VMIndex) -> Bool,
    endingAfter since: Sequence = .start,
    _ body: (inout FaultWindow) -> Void
  ) {
    for position in positions(after: since) {
      guard let vm = queue[position].vm, !queue[position].isSettled,
        case .fault(let fault) = queue[position].action, isConcerned(vm)
      else { continue }
      body(&faults[fault])
    }
    for open in threads.open.all where isConcerned(open.vm) {
      body(&faults[open.fault])
    }
  }

  /// The dirty log of the frames was cleared before it ended at `sequence`, if that still waits.
  mutating func proveClear(of frames: FrameRange, vm: VMIndex, at sequence: Sequence) {
    queue.proveClear(of: frames, vm: vm, at: sequence)
  }

  /// A slot with these frames goes. From some moment after `since` notifications of its memory met it where it is next.
  mutating func doubtNotifications(of frames: FrameRange, vm: VMIndex, since: Sequence) {
    queue.doubtNotifications(at: positions(after: since), of: frames, vm: vm)
  }

  /// It is not known when a notification at `sequence` was done.
  mutating func doubtNotification(at sequence: Sequence) { queue.doubtNotification(at: sequence) }

  /// Moves what a notifier's event at `sequence` did to a VM to the end of the queue, which is now.
  ///
  /// - Returns: the frames of its unmaps.
  mutating func delayNotification(
    of sequence: Sequence, vm: VMIndex, until record: TraceRecord, _ now: Sequence,
    _ vms: borrowing VMRegister
  ) -> [FrameRange] {
    var moved: [PendingRecord] = []
    var position = queue.position { $0.sequence < sequence }
    while position < queue.count, queue[position].sequence == sequence {
      // A check looks at the table as the fault found it, before the notification.
      if queue[position].vm == vm, !queue[position].isSettled, !queue[position].isCheck {
        moved.append(queue[position])
        queue[position].isSettled = true
      }
      position += 1
    }
    for index in moved.indices {
      moved[index].sequence = now
      moved[index].time = record.time
      enqueue(moved[index], vms)
    }
    return moved.compactMap { if case .unmap(let frames) = $0.action { frames } else { nil } }
  }

  // MARK: Races

  /// A fault had the lock for which a notification waited that is at `notification` in the queue, or its own thread made that.
  mutating func noteAhead(of notification: Sequence, faultEndedAt end: Sequence, _ now: Sequence) {
    if notification >= oldestWaiting(now) { order.note(ahead: end, of: notification) }
  }

  /// Settles the faults that had the lock while an unmap waited for it, although their windows end later, and the one whose
  /// own thread made the notification after it had operated.
  private mutating func settleThoseAhead(ofNotification record: PendingRecord, _ vms: borrowing VMRegister) {
    for end in order.takeAhead(of: record.sequence) {
      guard let (id, vm) = waitingFault(endedAt: end) else { continue }
      let isAhead =
        faults[id].tid == record.tid
        ? timelines.precedesOwnNotifications(faults[id], of: vm, isProtected: vms[vm].identity.isProtected)
        : isNext(windowEndingAt: end)
      guard isAhead, let fault = takeWaitingFault(endedAt: end) else { continue }
      settle(fault, aheadOf: record, vms)
    }
  }

  /// Settles the faults that raced with the one of `record` and were ahead of it although their windows end later.
  @inline(never)
  private mutating func settleThoseAhead(of id: FaultID, _ record: PendingRecord, _ vms: borrowing VMRegister)
  {
    if faults[id].lostToLongerFault, faults[id].stopsAtPUD {
      settlePUDRivals(of: id, record, vms)
    }
    guard let vm = record.vm, timelines.isRaced(faults[id].node, of: vm), canFollowRival(id) else { return }
    // A rival that comes after the moment has faults of its own thread before it.
    let moment = record.moment ?? record.sequence
    while let end = timelines.rival(
      of: faults[id], where: { $0.sequence < moment && isAhead($0, $1, of: id, vm) }),
      let rival = takeWaitingFault(endedAt: end)
    {
      settle(rival, aheadOf: record, vms)
    }
  }

  /// Settles the fault for whose sake another one found an entry of level 1 empty: it may be in another region.
  @inline(never)
  private mutating func settlePUDRivals(of id: FaultID, _ record: PendingRecord, _ vms: borrowing VMRegister)
  {
    let end = faults[id].end
    // Of each thread only what has waited longest can be next.
    var waiting: ContiguousArray<ThreadID> = [faults[id].tid]
    for position in 0..<queue.count where !queue[position].isSettled && !waiting.contains(queue[position].tid)
    {
      waiting.append(queue[position].tid)
      guard queue[position].vm == record.vm, case .fault(let other) = queue[position].action,
        faults[id].mayFollow(faults[other]), faults[other].end > end,
        // That such leaves are there is settled: it is why the fault is known to be outlasted.
        faults[other].needsPUDEntry(of: faults[id], pageSize, arePUDsKnown: true),
        isNext(windowEndingAt: faults[other].end),
        let rival = takeWaitingFault(endedAt: faults[other].end)
      else { continue }
      return settle(rival, aheadOf: record, vms)
    }
  }

  /// Whether anything can show that a rival was ahead of a raced fault: what `isAhead` asks for, as far as it is the fault's own.
  @inline(__always)
  private func canFollowRival(_ id: FaultID) -> Bool {
    guard let node = faults[id].node else { return false }
    if faults[id].kind != .translation { return true }
    let waits = faults.waits(of: id)
    if waits.other != nil { return true }
    if faultLock == .write { return waits.mmuLock != nil }
    return faults[id].sharesEntry || timelines[node].nextOnPage != TimelineNode.none
  }

  /// Settles a fault before its turn. It operated inside its own window, which the moment of the other record is part
  /// of.
  private mutating func settle(
    _ fault: PendingRecord, aheadOf other: PendingRecord, _ vms: borrowing VMRegister
  ) {
    var fault = fault
    fault.isSettled = false
    fault.time = other.time
    fault.moment = other.moment ?? other.sequence
    // Nothing that its own thread did in the window came before it.
    if fault.tid == other.tid, case .fault(let id) = fault.action { fault.place = faults[id].place }
    order.begin(aheadOf: other.tid)
    settle(fault, vms)
    order.end()
  }

  /// Whether everything that its thread did before a fault has been settled, for it is not ahead of that. What is being settled does not
  /// wait any more.
  @inline(__always)
  private func isNext(windowEndingAt sequence: Sequence) -> Bool {
    guard let (fault, _) = waitingFault(endedAt: sequence) else { return false }
    let tid = faults[fault].tid
    return !order.isInSettlement(tid) && !isWaiting(tid: tid, before: sequence)
  }

  /// Whether a record of a thread waits that is older than `sequence`.
  @inline(__always)
  private func isWaiting(tid: ThreadID, before sequence: Sequence) -> Bool {
    let end = queue.position { $0.sequence < sequence }
    return (0..<end).contains { queue[$0].tid == tid && !queue[$0].isSettled }
  }

  /// Whether the fault at a node of the timeline operated before `fault`, whose window ends earlier.
  private func isAhead(
    _ node: TimelineNode, _ index: TimelineNode.Index, of fault: FaultID, _ vm: VMIndex
  ) -> Bool {
    guard let (id, _) = waitingFault(endedAt: node.end), faults[id].node == index else { return false }
    let (own, others) = (faults.waits(of: fault), faults.waits(of: id))
    let isFirst =
      if own.showOtherLockFirst(with: others) || timelines.mayMeetLeaf(faults[fault], of: node) {
        true
      } else if faultLock == .write {
        // What the rival had mapped by then, this vCPU would not have found unmapped when it entered again: its wait
        // was for somebody else, such as a notifier.
        own.showMMULockFirst(with: others, begin: faults[id].begin)
          && !timelines.faultsAgain(faults[fault], before: node.end)
      } else {
        // Faults that share the lock collide where one replaces an entry: for the time of its break-before-make the
        // other finds the page unmapped and gets -EAGAIN, again and again.
        isFirstUnderReadLock(id, node, of: fault, vm)
      }
    return isFirst && isNext(windowEndingAt: node.end)
  }
}
