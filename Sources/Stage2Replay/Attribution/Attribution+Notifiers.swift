internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// The MMU notifier's events: kvm_unmap_hva_range, kvm_age_hva, kvm_test_age_hva. They speak of host addresses, come
// from whatever thread changes the host's table, and are emitted once for every VM of the address space.

extension Attribution {
  mutating func notifier(_ record: TraceRecord, _ kind: TimelineNode.Kind) {
    guard let thread = threads.thread(record.tid) else { return }
    let isFirst = threads[thread].lastEvent <= clock.partStart
    reach(thread)
    report(threads[thread].order.other(), thread, record)
    let range = record.hvaRange
    guard range.start < range.end else { return }
    if record.kind == .unmapHVARange { checkAlone(unmap: range, thread, record) }
    if kind == .unmap { noteReclaim(range, thread) }
    let repetition = repetition(of: kind, countRun(of: record.kind, range, thread), thread, isFirst: isFirst)
    if !threads[thread].notifier.named.isEmpty { threads[thread].notifier.named = [] }
    let isCopy = repetition == .copy
    beginNotification(
      by: thread, unmapping: kind == .unmap ? range : nil, isRepetition: repetition != .none)
    var isOfSlot = false
    for vm in vms.live {
      if vms.creator(of: vm) == record.tid || threads[thread].vcpu.vm == vm {
        vms[vm].activity.last = clock.now
      }
      guard vms[vm].slots.table.mayOverlap(range) || vms[vm].mayHaveOtherMemory else { continue }
      if notify(vm, kind, range, thread, record, repetition) { isOfSlot = true }
    }
    if !isOfSlot, !isCopy { found.unattributedNotifiers.add(kind) }
  }

  /// A thread's notification begins, of an unmap of a range or of an age.
  ///
  /// - Parameter isRepetition: whether it may be one that the thread's last event told of for another VM.
  @inline(__always)
  private mutating func beginNotification(
    by thread: ThreadIndex, unmapping range: HVARange?, isRepetition: Bool
  ) {
    // Which of the copies was a VM's is not known: they are one place in the thread's stream, and the name may come after any.
    if !isRepetition {
      threads[thread].place.notifiers &+= 1
      threads[thread].notifier.awaitsName = false
    }
    threads[thread].notifier.last = clock.now
    // Inside an invalidation only one that overlaps it can begin: a huge page splits while it is zapped.
    endUnmaps(of: thread, unlike: range)
  }

  /// A notification may be of a VM's memory; whether it is.
  private mutating func notify(
    _ vm: VMIndex, _ kind: TimelineNode.Kind, _ range: HVARange, _ thread: ThreadIndex, _ record: TraceRecord,
    _ repetition: NotifierRepetition
  ) -> Bool {
    let frames = vms[vm].slots.table.overlaps(range)
    // kvm_unmap_gfn_range and kvm_age_gfn leave a protected guest alone, and pkvm_mem_abort never retries.
    if vms[vm].identity.isProtected { return !frames.isEmpty }
    let owner = frames.isEmpty ? .another : memoryOwner(of: range, thread, vm: vm)
    if owner == .another {
      if kind == .unmap, vms[vm].mayHaveOtherMemory { beginUnmapOfUnknownFrames(vm: vm, range, thread) }
      return false
    }
    let isOpen =
      owner == .unknown || repetition == .open
      || repetition == .unseen && vms[vm].knownFrom != clock.epoch
    // In a gap the probe's event may be the one that is missing.
    if isOpen, notifiers.areNamed(kind), !clock.isInGap {
      threads[thread].notifier.awaitsName = true
      return true
    }
    notify(
      vm, kind, range, frames, thread, record, isCopy: repetition == .copy, isOpen ? .otherMemory : [])
    return true
  }

  /// A probe on `kvm_unmap_gfn_range` or `kvm_age_gfn`, of which one call is about one slot: it names the VM that a notification
  /// reaches, and the frames, which decides where the event leaves it open. Or no event told of it.
  mutating func nameNotified(_ record: TraceRecord) {
    let kind: TimelineNode.Kind = record.kind == .probeUnmapGFN ? .unmap : .age
    notifiers.noteName(kind)
    if let thread = threads.known(record.tid) { threads[thread].notifier.run?.isNamed = true }
    let told = record.probedRange
    guard told.start < told.end, let vm = vms.roster.vm(at: told.kvm), !vms[vm].identity.isProtected
    else { return }
    let frames = FrameRange(start: told.start, end: told.end)
    let change: (thread: ThreadIndex, range: HVARange, frames: FrameRanges)
    var isOfClosedFile = false
    if kind == .unmap, let hole = guestMemfdHole(frames, vm: vm, by: record.tid) {
      change = (hole.thread, hole.range, FrameRanges(frames))
      reach(hole.thread)
      isOfClosedFile = hole.isOfClosedFile
      if !isOfClosedFile { threads[hole.thread].notifier.run = nil }
      beginNotification(by: hole.thread, unmapping: hole.range, isRepetition: false)
    } else {
      guard let thread = threads.known(record.tid), threads[thread].notifier.awaitsName,
        let range = threads[thread].notifier.run?.range
      else { return }
      reach(thread)
      change = (thread, range, vms[vm].slots.table.overlaps(range).intersection(with: frames))
    }
    if change.frames.isEmpty { return }
    // The VMM's own doing: its address space is there, and so is the VM's table.
    if vms.creator(of: vm) == record.tid { vms[vm].activity.last = clock.now }
    notify(
      vm, kind, change.range, change.frames, change.thread, record, isCopy: false,
      isOfClosedFile ? .closedFile : [])
  }

  /// Frames of a VM are unmapped, aged or tested.
  private mutating func notify(
    _ vm: VMIndex, _ kind: TimelineNode.Kind, _ range: HVARange, _ frames: FrameRanges,
    _ thread: ThreadIndex, _ record: TraceRecord, isCopy: Bool, _ doubts: RangeDoubts
  ) {
    if threads[thread].vcpu.openFault != nil { noteOwnNotification(vm: vm, thread, record) }
    var doubts = doubts
    if kind == .unmap {
      if vms[vm].identity.slotsKnownFrom != clock.epoch { doubts.insert(.lostCommit) }
      vms[vm].activity.lastUnmapEvent = clock.now
      beginUnmap(vm: vm, range, frames, thread)
    }
    frames.forEach { frames in
      note(kind, frames, vm: vm, by: record.tid)
      if kind == .unmap, vms[vm].dirtyLogs.isActive { vms[vm].dirtyLogs.forgetGrants(frames) }
      if kind == .age { noteAge(frames, vm: vm, thread) }
      guard !isCopy else { return }
      let duringFault = kind != .unmap && hasOpenFault(around: frames, vm: vm)
      let action: PendingRecord.Action =
        switch kind {
        case .unmap: .unmap(frames)
        case .age: .age(frames, markOld: true, duringFault: duringFault, epoch: clock.epoch)
        default: .age(frames, markOld: false, duringFault: duringFault, epoch: clock.epoch)
        }
      enqueue(action, vm: vm, record, threads[thread].place, doubts)
    }
  }

  /// Whose memory a range in a VM's slots is.
  @inline(__always)
  private func memoryOwner(of range: HVARange, _ thread: ThreadIndex, vm: VMIndex) -> MemoryChange.Owner {
    if threads[thread].mayBeOfOtherVM { return .unknown }
    let isCreator = context.survey.isCreator(threads[thread].tid)
    if isOneProcess, !isCreator { return .own }
    return MemoryChange(
      range: range, tid: threads[thread].tid, vcpuOf: threads[thread].vcpu.vm, isCreator: isCreator,
      isOfFault: isOfFault(of: thread, range), lacksOthers: context.lacksOtherVMs,
      pageSize: context.pageSize
    ).owner(seenFrom: vm, vms, vcpuEvidence)
  }

  /// Whether a range has the page on which a thread's vCPU is in a fault: its copy-on-write unmaps it.
  @inline(__always)
  private func isOfFault(of thread: ThreadIndex, _ range: HVARange) -> Bool {
    guard let open = threads[thread].vcpu.openFault,
      let hva = lookahead[open].slot?.hva(of: lookahead[open].page.gfn(context.pageSize), context.pageSize)
    else { return false }
    return range.contains(hva)
  }

  /// Counts identical events of a thread in a row, and says what this one is to the one before.
  ///
  /// Hardly anything ages or tests one page of an address space twice running: MGLRU and rmap visit an entry once, DAMON's
  /// regions are disjoint. So the length of such a run is the number of VMs in that address space, some of them
  /// perhaps without slots, such as the one with which a VMM tries out the kernel's features. (Blocks do repeat: DAMON
  /// can sample several addresses of one.) What MGLRU's walk visited last, reclaim may look at next: a run that is longer
  /// than many before it is two. Nor does a vCPU take the page of its fault away twice: one copy-on-write makes it the VMM's own.
  private mutating func countRun(
    of kind: EventKind, _ range: HVARange, _ thread: ThreadIndex
  ) -> NotifierRepetition {
    let isPage =
      range.end - range.start <= context.pageSize.bytes
      && (kind == .unmapHVARange
        ? isOfFault(of: thread, range) : range.start.rawValue & (context.pageSize.pmdBytes - 1) != 0)
    let vm = isOneProcess ? nil : processVM(of: thread)
    var count = 1
    var isNamed = false
    if let run = threads[thread].notifier.run, run.kind == kind, run.range == range {
      count = run.count + 1
      isNamed = run.isNamed
    } else if let run = threads[thread].notifier.run, run.isPage {
      if let vm {
        if vms[vm].copies == nil { vms[vm].copies = NotifierCopies(count: run.count) }
        vms[vm].copies?.note(run.count, inOneProcess: true)
      }
      notifiers.copies.note(run.count, inOneProcess: isOneProcess)
    }
    threads[thread].notifier.run = NotifierRun(
      kind: kind, range: range, count: count, isPage: isPage, isNamed: isNamed)
    guard count > 1 else { return .none }
    let ofProcess = vm.flatMap { vms[$0].copies }
    let copies = ofProcess ?? notifiers.copies
    let isSettled = copies.isSettled && (ofProcess != nil || isOneProcess)
    if isPage, !isSettled {
      if let vm {
        if ofProcess == nil { vms[vm].copies = NotifierCopies() }
        vms[vm].copies?.count = count
      }
      notifiers.copies.count = count
      return .copy
    }
    if (count - 1) % max(copies.count, vms.roster.hasFellows ? fellows(at: range) : 1) != 0 { return .copy }
    return isSettled ? .none : .open
  }

  /// The same, with what else is known of the thread's notifications.
  ///
  /// - Parameter isFirst: whether nothing of the thread came before in the part of the trace that is replayed.
  private func repetition(
    of kind: TimelineNode.Kind, _ counted: NotifierRepetition, _ thread: ThreadIndex, isFirst: Bool
  ) -> NotifierRepetition {
    switch counted {
    case .none where isFirst: .unseen
    // The events before reached no slot: they came for VMs that have none there, and one of the next for the VM that has.
    case .open
    where notifiers.areNamed(kind) && !clock.isInGap && threads[thread].notifier.run?.isNamed == false: .copy
    default: counted
    }
  }

  /// A VM came or went.
  mutating func forgetCopies() {
    notifiers.copies.forget()
    for vm in vms.live where vm.position < vms.count { vms[vm].copies?.forget() }
  }

  /// A VM of a thread's process where there are several: what was counted in one process says nothing of another.
  @inline(__always)
  private func processVM(of thread: ThreadIndex) -> VMIndex? {
    if let vm = threads[thread].vcpu.vm, !vms[vm].isGone { return vm }
    return vms.roster.vm(createdBy: threads[thread].tid)
  }

  /// How many live VMs are known to share the address space in which a range is memory of one: each of them emits the event, even
  /// those that have no slot there.
  @inline(__always)
  private func fellows(at range: HVARange) -> Int {
    let owners = vms.live.filter { !vms[$0].slots.table.overlaps(range).isEmpty }
    return owners.map { vms.roster.fellows(of: $0) }.max() ?? 1
  }

  /// Whether all VMs are of one process.
  @inline(__always)
  private var isOneProcess: Bool { vms.roster.isOfOneCreator && !context.lacksOtherVMs }

  /// Whether a fault is open in one of the regions that the frames touch.
  @inline(__always)
  private func hasOpenFault(around frames: FrameRange, vm: VMIndex) -> Bool {
    let blocks = lookahead.timelines.blocks(frames)
    return threads.open.contains(of: vm) { blocks.contains(lookahead.timelines.block($0.gfn)) }
  }

  /// The thread of a notifier's event waited for a VM's lock: what it does happens now. Faults of the meantime found
  /// memory as it was.
  mutating func notificationHasLock(_ thread: ThreadIndex, _ record: TraceRecord) {
    guard let notification = threads[thread].notifier.last,
      let vm = vms.roster.vm(at: record.contendedLock)
    else { return }
    if threads[thread].vcpu.vm == vm, let open = threads[thread].vcpu.openFault,
      lookahead.waits(of: open).ownNotification == notification
    {
      // It has unmapped the page, and nobody else can have; what it waits for is its own fault's turn.
      let since = threads[thread].notifier.waitsSince
      if lookahead[open].sawOwnUnmap, !lookahead[open].mayBeInvalidated,
        lookahead.isLeafGone(after: open, before: since)
      {
        return
      }
      lookahead.noteOwnNotification(of: open, at: clock.now)
    }
    let moved = lookahead.delayNotification(of: notification, vm: vm, until: record, clock.now, vms)
    for frames in moved {
      note(.unmap, frames, vm: vm, by: record.tid)
      threads.open.forEach(of: vm) { other in
        guard other.thread != thread, frames.contains(other.gfn),
          lookahead.waits(of: other.fault).mmuLock == nil,
          lookahead[other.fault].begin < threads[thread].notifier.waitsSince
        else { return }
        lookahead.noteWait(ofUnmap: clock.now, for: other.fault)
      }
    }
  }
}

// MARK: Unmaps and ages that are under way

extension Attribution {
  /// The thread does something that it cannot do inside an invalidation: those that it began are over.
  @inline(__always)
  mutating func leaveMemoryManagement(_ thread: ThreadIndex) {
    if threads[thread].notifier.last != nil { endNotifications(of: thread) }
  }

  private mutating func endNotifications(of thread: ThreadIndex) {
    threads[thread].notifier.run = nil
    threads[thread].notifier.named = []
    threads[thread].notifier.last = nil
    threads[thread].notifier.awaitsName = false
    if threads[thread].notifier.unmapsUnknown { endUnknownUnmaps(of: thread) }
    let unmaps = threads[thread].notifier.unfinishedUnmaps
    threads[thread].notifier.unfinishedUnmaps = []
    for unmap in unmaps { end(unmap, thread) }
  }

  /// The thread begins a notification that can only come inside an unmap that overlaps `range`: its others are over.
  private mutating func endUnmaps(of thread: ThreadIndex, unlike range: HVARange?) {
    if threads[thread].notifier.unmapsUnknown { endUnknownUnmaps(of: thread, unlike: range) }
    guard !threads[thread].notifier.unfinishedUnmaps.isEmpty else { return }
    let rounded = range?.rounded(to: context.pageSize.pmdBytes)
    var kept: [UnfinishedUnmap] = []
    for unmap in threads[thread].notifier.unfinishedUnmaps {
      if let rounded, rounded.overlaps(unmap.range) {
        kept.append(unmap)
      } else {
        end(unmap, thread)
      }
    }
    threads[thread].notifier.unfinishedUnmaps = kept
  }

  /// An unmap begins: faults whose windows are open may have to be retried because of it.
  private mutating func beginUnmap(
    vm: VMIndex, _ range: HVARange, _ frames: FrameRanges, _ thread: ThreadIndex
  ) {
    let unmap = UnfinishedUnmap(vm: vm, range: range.rounded(to: context.pageSize.pmdBytes))
    if !threads[thread].notifier.unfinishedUnmaps.contains(unmap) {
      if threads[thread].notifier.unfinishedUnmaps.count == UnfinishedUnmap.nestingMax {
        end(threads[thread].notifier.unfinishedUnmaps.removeFirst(), thread)
      }
      vms[vm].unmaps.unfinished += 1
      threads[thread].notifier.unfinishedUnmaps.append(unmap)
      frames.forEach { frames in
        notifiers.unmapsUnderway.append(
          UnmapUnderway(thread: thread, unmap: unmap, blocks: lookahead.timelines.blocks(frames)))
      }
    }
    noteOwnUnmap(frames, of: vm, thread)
    if threads[thread].vcpu.faultBeforeExit != nil { noteReplacement(range, frames, of: vm, thread) }
    let isCopyOnWrite = threads[thread].vcpu.openFault != nil
    threads.open.forEach(of: vm) { other in
      guard other.thread != thread else { return }
      lookahead[other.fault].mayBeInvalidated = true
      if isCopyOnWrite { lookahead[other.fault].mayRaceCopyOnWrite = true }
    }
  }

  /// An unmap begins that hits no slot whose host address is known, but perhaps one where it is not: any fault may have to be retried because
  /// of it. So may those that come until it ends, unless it is memory that another VM is known to have.
  private mutating func beginUnmapOfUnknownFrames(vm: VMIndex, _ range: HVARange, _ thread: ThreadIndex) {
    let isKnown = vms.live.contains { !vms[$0].slots.table.overlaps(range).isEmpty }
    if !isKnown {
      if vms[vm].unmaps.unknown.count == UnknownUnmap.most { vms[vm].unmaps.unknown.removeFirst() }
      vms[vm].unmaps.unknown.append(UnknownUnmap(thread: thread, range: range, since: clock.now))
      threads[thread].notifier.unmapsUnknown = true
    }
    threads.open.forEach(of: vm) { lookahead[$0.fault].mayBeInvalidated = true }
  }

  /// A thread does something that it cannot do inside an unmap, but for one that overlaps `range`.
  @inline(never)
  private mutating func endUnknownUnmaps(of thread: ThreadIndex, unlike range: HVARange? = nil) {
    var areAll = true
    for vm in vms.live {
      vms[vm].unmaps.unknown.removeAll { unmap in
        guard unmap.thread == thread else { return false }
        let goesOn = range.map { $0.overlaps(unmap.range) } ?? false
        if goesOn { areAll = false }
        return !goesOn
      }
    }
    if areAll { threads[thread].notifier.unmapsUnknown = false }
  }

  /// The part of the trace begins that is replayed, and with it what was unmapped then: what was done before the part is not known.
  @inline(never)
  mutating func beginUnmapsAhead() {
    for unmap in notifiers.ahead.takeAll() {
      guard let thread = threads.thread(unmap.tid) else { continue }
      threads[thread].notifier.last = clock.partStart
      for vm in vms.live where !vms[vm].identity.isProtected {
        let frames = vms[vm].slots.table.overlaps(unmap.range)
        if !frames.isEmpty {
          beginUnmap(vm: vm, unmap.range, frames, thread)
        } else if vms[vm].mayHaveOtherMemory {
          beginUnmapOfUnknownFrames(vm: vm, unmap.range, thread)
        }
      }
    }
  }

  /// An unmap is over, at the latest.
  private mutating func end(_ unmap: UnfinishedUnmap, _ thread: ThreadIndex) {
    vms[unmap.vm].unmaps.unfinished -= 1
    assert(vms[unmap.vm].unmaps.unfinished >= 0, "an unmap ends that did not begin")
    vms[unmap.vm].unmaps.last = clock.now
    var kept = 0
    for index in notifiers.unmapsUnderway.indices {
      let entry = notifiers.unmapsUnderway[index]
      if entry.thread == thread, entry.unmap == unmap {
        lookahead.regions.noteUnmapped(entry.blocks, vm: unmap.vm, at: clock.now)
      } else {
        notifiers.unmapsUnderway[kept] = entry
        kept += 1
      }
    }
    notifiers.unmapsUnderway.removeSubrange(kept...)
  }

  /// A slot with these frames was removed: its commit comes after it went out of force, which was after `since`.
  mutating func noteRemoval(of frames: FrameRange, vm: VMIndex, since: Sequence, basis: Basis) {
    vms[vm].unmaps.last = clock.now
    lookahead.regions.noteUnmapped(lookahead.timelines.blocks(frames), vm: vm, at: clock.now)
    lookahead.settled.append(
      .removal(SlotRemoval(sequence: clock.now, since: since, frames: frames, basis: basis)), vm)
    threads.open.forEach(of: vm) { open in
      if frames.contains(open.gfn) { lookahead.noteRemoval(at: clock.now, for: open.fault) }
    }
    // The slot may have been out of force since the thread's event before.
    lookahead.updateFaults(threads, where: { $0 == vm }, endingAfter: since) { fault in
      guard fault.end > since, fault.isExec || fault.isStage1Walk, let slot = fault.slot,
        frames.contains(slot.base)
      else { return }
      fault.signs.insert(.leavingSlot)
    }
  }

  /// An age of the frames begins.
  private mutating func noteAge(_ frames: FrameRange, vm: VMIndex, _ thread: ThreadIndex) {
    if context.profile.hasHardwareAccessFlag { return }
    lookahead.regions.noteAge(lookahead.timelines.blocks(frames), vm: vm, by: thread, at: clock.now)
  }
}

/// What is known of notifications as a whole.
struct NotifierState {
  /// The copies in which notifications come.
  var copies = NotifierCopies()
  var unmapsUnderway: [UnmapUnderway] = []
  /// Those that began before the part of the trace that is replayed.
  var ahead = UnmapsAhead<Void>()
  /// The kinds of notification of which a probe names the VM.
  private var hasNamedUnmap = false
  private var hasNamedAge = false

  /// A probe named the VM of a notification.
  mutating func noteName(_ kind: TimelineNode.Kind) {
    if kind == .unmap { hasNamedUnmap = true } else { hasNamedAge = true }
  }

  /// Whether a probe names the VM of each notification of a kind; of tests none does.
  func areNamed(_ kind: TimelineNode.Kind) -> Bool {
    kind == .unmap ? hasNamedUnmap : kind == .age && hasNamedAge
  }
}

/// An unmap that is not over, in terms of the guest's memory.
struct UnmapUnderway {
  var thread: ThreadIndex
  var unmap: UnfinishedUnmap
  /// The regions that it touches.
  var blocks: ClosedRange<UInt64>
}
