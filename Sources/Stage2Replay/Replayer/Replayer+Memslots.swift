internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// VMs and their memslots, from the probe on kvm_arch_commit_memory_region.

extension Replayer where Backend: ~Copyable {
  /// A VM appears.
  mutating func addVM(
    kvm: KernelAddress?, creator: ThreadID?, wasRunning: Bool, at record: TraceRecord
  ) -> Int {
    vms.append(
      GuestVM(
        id: vms.count, kvm: kvm, creator: creator, since: record.time, wasRunning: wasRunning,
        pageSize: profile.pageSize, epoch: losses.epoch,
        isKnown: !wasRunning && !losses.isInGap && options.from.map { record.time >= $0 } ?? true,
        backend: makeBackend()))
    liveVMs.append(vms.count - 1)
    return vms.count - 1
  }

  /// Another VM has taken the place of this one.
  private mutating func retire(vm: Int) {
    vms[vm].isGone = true
    liveVMs.removeAll { $0 == vm }
  }

  /// A slot has changed.
  ///
  /// - Parameter performsOperations: false before the part of the trace that is replayed, when only the slots matter.
  mutating func commit(_ record: TraceRecord, performsOperations: Bool = true) {
    guard let thread = thread(record.tid) else { return }
    let since = threads[thread].lastEvent
    leaveMemoryManagement(thread)
    reach(thread)
    let commit = record.memslotCommit
    // What a damaged event says is no slot; nor is a change that the kernel does not know.
    let slot = Memslot(
      id: commit.id, base: commit.base, pages: commit.pages, hva: commit.hva, flags: commit.flags,
      basis: .recorded)
    guard commit.change != .unknown, slot.isPossible(profile.pageSize) else { return }
    let vm = vm(of: commit, at: record)
    let place = threads[thread].place

    if commit.change == .delete || commit.change == .move, let frames = removeSlot(commit, vm: vm),
      performsOperations
    {
      note(.slotChange, frames, vm: vm, by: record.tid)
      noteRemoval(of: frames, vm: vm, since: since)
      enqueue(pending(.deleteSlot(frames), vm: vm, record, place))
    }
    guard commit.change != .delete else { return }

    let before = commit.change == .flagsOnly ? vms[vm].slots.remove(base: commit.base) : nil
    let isKnown = before != nil
    if let before, before.isLogging, !slot.isLogging, performsOperations {
      enqueue(pending(.endLogging(FrameRange(start: slot.base, end: slot.end)), vm: vm, record, place))
    }
    vms[vm].slots.insert(slot)
    if vms[vm].slotsSeen.insert(slot).inserted { vms[vm].slotHistory.append(slot) }
    if !isKnown { adopt(slot, vm: vm) }
    if slot.flags.contains(.logDirtyPages), performsOperations {
      // kvm_mmu_wp_memory_region, unless the VMM asked for KVM_DIRTY_LOG_INITIALLY_SET.
      enqueue(pending(.wrprotect(FrameRange(start: slot.base, end: slot.end)), vm: vm, record, place))
    }
  }

  /// Takes out the slot that a commit deletes or moves, and returns its frames. Where the trace begins too late to
  /// know the slot, the commit tells them.
  private func removeSlot(_ commit: MemslotCommit, vm: Int) -> FrameRange? {
    guard let base = commit.oldBase, let pages = commit.oldPages else { return nil }
    let old =
      vms[vm].slots.remove(base: base)
      ?? Memslot(id: nil, base: base, pages: pages, hva: HVA(0), flags: [], basis: .recorded)
    return old.isPossible(profile.pageSize) ? FrameRange(start: old.base, end: old.end) : nil
  }

  /// The VM that a commit concerns.
  ///
  /// The kernel uses the address of a `struct kvm` again, and no event marks a VM's end. But it never creates a slot
  /// over another one or under a number in use, so a commit that seems to belongs to a new VM. Nor does one thread of
  /// a VMM often have two VMs at a time: its earlier one is taken to be gone.
  ///
  /// In a trace that begins while a VM runs, its vCPUs fault before any commit: it is then the one whose slot changes.
  private mutating func vm(of commit: MemslotCommit, at record: TraceRecord) -> Int {
    let known = liveVMs.last { vms[$0].kvm == commit.kvm }
    if let known {
      guard commit.change == .create, vms[known].slots.isContradicted(by: commit) else { return known }
      retire(vm: known)
    }
    if let nameless = liveVMs.last(where: { vms[$0].kvm == nil }) {
      vms[nameless].kvm = commit.kvm
      vms[nameless].creator = record.tid
      return nameless
    }
    for vm in liveVMs where vms[vm].creator == record.tid { retire(vm: vm) }
    return addVM(
      kvm: commit.kvm, creator: record.tid, wasRunning: commit.change != .create, at: record)
  }

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
