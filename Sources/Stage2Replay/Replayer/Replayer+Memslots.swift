internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// VMs and their memslots: from probes, or from a history made beforehand.

extension Replayer where Backend: ~Copyable {
  /// A VM appears.
  mutating func addVM(
    kvm: KernelAddress?, creator: ThreadID?, tids: Set<ThreadID>? = nil, wasRunning: Bool,
    at record: TraceRecord
  ) -> Int {
    let isProtected = profile.modelsProtected(kvm.flatMap { vmTypes[$0] }?.isProtected ?? false)
    vms.append(
      GuestVM(
        id: vms.count, kvm: kvm, creator: creator, since: record.time, wasRunning: wasRunning,
        pageSize: profile.pageSize, isProtected: isProtected, epoch: losses.epoch,
        isKnown: !wasRunning && !losses.isInGap && options.from.map { record.time >= $0 } ?? true,
        longestTimes: options.longest,
        backend: makeBackend(model.modelsProtected(isProtected))))
    liveVMs.append(vms.count - 1)
    copies.forget()
    vms[vms.count - 1].tids = tids
    noteNames(vm: vms.count - 1)
    return vms.count - 1
  }

  /// It is known what a VM is called in events, and which threads are its own.
  private mutating func noteNames(vm: Int) {
    guard timeline != nil else { return }
    let since = vms[vm].since
    timeline!.note(kvm: vms[vm].kvm, ofVM: vm, since: since)
    timeline!.note(thread: vms[vm].creator, ofVM: vm, since: since)
    for tid in vms[vm].tids?.sorted() ?? [] { timeline!.note(thread: tid, ofVM: vm, since: since) }
  }

  /// The VM is gone, or another one has taken its place.
  mutating func retire(vm: Int, at time: Nanoseconds, basis: Basis = .assumed) {
    timeline?.note(.end(vm: vm), at: time)
    vms[vm].end = VMEnd(time: time, basis: basis)
    liveVMs.removeAll { $0 == vm }
    copies.forget()
  }

  /// A probe tells of a slot's change, or of the VMM's wish for one.
  ///
  /// - Parameter performsOperations: false before the part of the trace that is replayed, when only the slots matter.
  mutating func memslotProbe(_ record: TraceRecord, performsOperations: Bool = true) {
    guard let probe = slotProbe, let thread = thread(record.tid) else { return }
    let told: (kvm: KernelAddress, update: MemslotUpdate)?
    switch record.kind {
    case .commitMemoryRegion where probe == .commits:
      let commit = record.memslotCommit
      told = MemslotUpdate(commit, profile.pageSize).map { (commit.kvm, $0) }
    case .setMemoryRegion where probe.hasRequests:
      told = slotRequests.call(record.memslotRequest, by: record.tid)
    case .setMemoryRegionReturn where probe == .requestsAndReturns:
      told = slotRequests.callReturned(record.probedReturn, to: record.tid)
    default: return
    }
    let since = threads[thread].lastEvent
    leaveMemoryManagement(thread)
    reach(thread)
    guard let told else { return }
    let vm = vm(of: told.update, told.kvm, at: record)
    apply(
      told.update, vm: vm, record, threads[thread].place, since: since, performsOperations: performsOperations
    )
  }

  /// Makes the changes of slots that a file or an inference dates before `record`.
  mutating func applyDueSlotChanges(before record: TraceRecord) {
    while let entry = slotSchedule.takeNext(upTo: record.time) {
      let life = slotSchedule.history.vms[entry.vm]
      var change = record
      change.time = max(entry.time, firstTime)
      if let creator = life.creator { change.tid = creator }
      guard case .update(let update) = entry.step else {
        if let vm = scheduledVMs[entry.vm] { retire(vm: vm, at: change.time) }
        continue
      }
      if let slot = update.slot, !slot.isPossible(profile.pageSize) { continue }
      let vm = vm(scheduled: entry.vm, life, at: change)
      if let slot = update.slot, let evidence = entry.evidence { vms[vm].slotEvidence[slot] = evidence }
      var place = ThreadPlace(windows: 0, notifiers: 0)
      if life.creator != nil, let thread = thread(change.tid) {
        leaveMemoryManagement(thread)
        place = threads[thread].place
      }
      apply(
        update, vm: vm, change, place, since: 0,
        performsOperations: options.from.map { entry.time >= $0 } ?? true)
    }
  }

  private mutating func apply(
    _ update: MemslotUpdate, vm: Int, _ record: TraceRecord, _ place: ThreadPlace, since: UInt64,
    performsOperations: Bool
  ) {
    if update.change == .delete || update.change == .move, let frames = removeSlot(update, vm: vm),
      performsOperations
    {
      note(.slotChange, frames, vm: vm, by: record.tid)
      noteRemoval(of: frames, vm: vm, since: since)
      doubtNotifications(of: frames, vm: vm, since: since)
      enqueue(pending(.deleteSlot(frames), vm: vm, record, place))
    }
    if let base = update.change == .flagsOnly ? update.slot?.base : update.oldBase {
      timeline?.note(.remove(vm: vm, base: base), at: record.time)
    }
    guard let slot = update.slot else { return }

    let before = update.change == .flagsOnly ? vms[vm].slots.remove(base: slot.base) : nil
    let isKnown = before != nil
    if let before, before.isLogging, !slot.isLogging, performsOperations {
      enqueue(pending(.endLogging(FrameRange(start: slot.base, end: slot.end)), vm: vm, record, place))
    }
    vms[vm].slots.insert(slot)
    if !slot.flags.contains(.readOnly) { vms[vm].largestSlot = max(vms[vm].largestSlot, slot.pages) }
    timeline?.note(.insert(vm: vm, slot), at: record.time)
    vms[vm].slotBasis = max(vms[vm].slotBasis, slot.basis)
    if slot.hva == nil { vms[vm].hasUnplacedSlots = true }
    if vms[vm].slotsSeen.insert(slot).inserted { vms[vm].slotHistory.append(slot) }
    if !isKnown { adopt(slot, vm: vm) }
    if slot.flags.contains(.logDirtyPages), performsOperations {
      // kvm_mmu_wp_memory_region, unless the VMM asked for KVM_DIRTY_LOG_INITIALLY_SET.
      enqueue(pending(.wrprotect(FrameRange(start: slot.base, end: slot.end)), vm: vm, record, place))
    }
  }

  /// Takes out the slot that a change deletes or moves, and returns its frames. Where the trace begins too late to
  /// know the slot, the change tells them.
  private func removeSlot(_ update: MemslotUpdate, vm: Int) -> FrameRange? {
    guard let base = update.oldBase, let pages = update.oldPages else { return nil }
    let old =
      vms[vm].slots.remove(base: base)
      ?? Memslot(id: nil, base: base, pages: pages, hva: nil, flags: [], basis: .recorded)
    return old.isPossible(profile.pageSize) ? FrameRange(start: old.base, end: old.end) : nil
  }

  /// The VM that a recorded change concerns.
  ///
  /// The kernel uses the address of a `struct kvm` again, and no event marks a VM's end. But it never creates a slot
  /// over another one or under a number in use, so a change that seems to belongs to a new VM. Nor does one thread of
  /// a VMM often have two VMs at a time: its earlier one is taken to be gone.
  ///
  /// In a trace that begins while a VM runs, its vCPUs fault before any change: it is then the one whose slot changes.
  private mutating func vm(of update: MemslotUpdate, _ kvm: KernelAddress, at record: TraceRecord) -> Int {
    let known = liveVMs.last { vms[$0].kvm == kvm }
    if let known {
      guard update.contradicts(vms[known].slots) else { return known }
      retire(vm: known, at: record.time)
    }
    if let nameless = liveVMs.last(where: { vms[$0].kvm == nil }) {
      vms[nameless].kvm = kvm
      vms[nameless].creator = record.tid
      noteNames(vm: nameless)
      return nameless
    }
    retire(vmsOf: record.tid, at: record.time)
    return addVM(kvm: kvm, creator: record.tid, wasRunning: update.change != .create, at: record)
  }

  /// The VM at a position of the history. It comes into being with its first slot, by the same rules.
  private mutating func vm(scheduled position: Int, _ life: MemslotHistory.VM, at record: TraceRecord) -> Int
  {
    if let known = scheduledVMs[position] { return known }
    if let kvm = life.kvm, let known = liveVMs.last(where: { vms[$0].kvm == kvm }) {
      retire(vm: known, at: record.time)
    }
    let nameless = liveVMs.last { vm in !scheduledVMs.contains(vm) }
    let vm: Int
    if let nameless, life.tids == nil {
      vm = nameless
      vms[vm].kvm = life.kvm
      vms[vm].creator = life.creator
      noteNames(vm: vm)
    } else {
      if let creator = life.creator { retire(vmsOf: creator, at: record.time) }
      vm = addVM(
        kvm: life.kvm, creator: life.creator, tids: life.tids.map(Set.init), wasRunning: life.isPartial,
        at: record)
    }
    scheduledVMs[position] = vm
    return vm
  }

  /// Where probes tell of the ends of VMs, nothing is taken for one.
  private mutating func retire(vmsOf creator: ThreadID, at time: Nanoseconds) {
    for vm in liveVMs where vms[vm].creator == creator && !isKnownToLive(vm) { retire(vm: vm, at: time) }
  }

  /// Whether a probe told of the VM's creation and none of its end.
  func isKnownToLive(_ vm: Int) -> Bool { vms[vm].kvm.map { vmTypes[$0] != nil } ?? false }

  /// A slot is in force a little before its commit: faults that found no slot may belong to it. A VM changes one slot
  /// at a time (`kvm->slots_lock`), so to this one or to none.
  private mutating func adopt(_ slot: Memslot, vm: Int) {
    guard vms[vm].hasFaultsWithoutSlot else { return }
    vms[vm].hasFaultsWithoutSlot = false
    let pageSize = profile.pageSize
    updateWaitingFaults(ofVM: vm) { fault in
      guard fault.slot == nil, !fault.isOutsideSlots else { return }
      if !fault.sawMMIO, slot.contains(fault.page.gfn(pageSize)) {
        fault.slot = slot
      } else {
        fault.isOutsideSlots = true
      }
    }
  }

  func pending(
    _ action: PendingRecord.Action, vm: Int, _ record: TraceRecord, _ place: ThreadPlace
  ) -> PendingRecord {
    PendingRecord(
      action: action, vm: vm, sequence: sequence, time: record.time, cpu: record.cpu, tid: record.tid,
      place: place)
  }

  /// Notes what happens to frames in the timelines of the regions where a fault waits.
  mutating func note(_ kind: TimelineNode.Kind, _ frames: FrameRange, vm: Int, by tid: ThreadID) {
    var node = TimelineNode(
      kind: kind, level: .l3, isWrite: false, isExec: false, sequence: sequence, entry: 0, frames: frames)
    node.tid = tid
    timelines.append(range: node, vm: vm)
    boundTimelines()
  }
}
