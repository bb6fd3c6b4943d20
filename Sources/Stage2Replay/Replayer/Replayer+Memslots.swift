internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// VMs and their memslots, from the probe on kvm_arch_commit_memory_region.

extension Replayer where Backend: ~Copyable {
  mutating func addVM(kvm: KernelAddress?, creator: ThreadID?, at record: TraceRecord) {
    vms.append(
      GuestVM(
        id: vms.count, kvm: kvm, creator: creator, since: record.time, pageSize: profile.pageSize,
        backend: makeBackend()))
  }

  mutating func commit(_ record: TraceRecord) {
    guard let thread = thread(record.tid) else { return }
    leaveMemoryManagement(thread)
    let commit = record.memslotCommit
    guard let vm = vm(of: commit, at: record) else { return }
    let place = threads[thread].place

    if commit.change == .delete || commit.change == .move, let base = commit.oldBase,
      let old = vms[vm].slots.remove(base: base)
    {
      let frames = FrameRange(start: old.base, end: old.end)
      note(.slotChange, frames, vm: vm, by: record.tid)
      enqueue(pending(.deleteSlot(frames), vm: vm, record, place))
    }
    if commit.change == .flagsOnly { _ = vms[vm].slots.remove(base: commit.base) }
    guard commit.change != .delete, commit.pages > 0 else { return }

    let slot = Memslot(
      id: commit.id, base: commit.base, pages: commit.pages, hva: commit.hva, flags: commit.flags,
      basis: .recorded)
    vms[vm].slots.insert(slot)
    if !vms[vm].slotHistory.contains(slot) { vms[vm].slotHistory.append(slot) }
    if commit.change != .flagsOnly { adopt(slot, vm: vm) }
    if slot.flags.contains(.logDirtyPages) {
      // kvm_mmu_wp_memory_region, unless the VMM asked for KVM_DIRTY_LOG_INITIALLY_SET.
      enqueue(pending(.wrprotect(FrameRange(start: slot.base, end: slot.end)), vm: vm, record, place))
    }
  }

  /// The VM that a commit concerns.
  ///
  /// The kernel uses the address of a `struct kvm` again, and no event marks a VM's end. But it never creates a slot
  /// over another one or under a number in use, so a commit that seems to belongs to a new VM. Nor does one thread of
  /// a VMM often have two VMs at a time: its earlier one is taken to be gone.
  private mutating func vm(of commit: MemslotCommit, at record: TraceRecord) -> Int? {
    let known = vms.lastIndex { $0.kvm == commit.kvm && !$0.isGone }
    guard commit.change == .create else { return known }
    if let known {
      if !vms[known].slots.isContradicted(by: commit) { return known }
      vms[known].isGone = true
    }
    for vm in vms where vm.creator == record.tid { vm.isGone = true }
    addVM(kvm: commit.kvm, creator: record.tid, at: record)
    return vms.count - 1
  }

  /// A slot is in force a little before its commit: faults that found no slot may belong to it.
  private mutating func adopt(_ slot: Memslot, vm: Int) {
    let pageSize = profile.pageSize
    updateWaitingFaults(ofVM: vm) { fault in
      if fault.slot == nil, !fault.sawMMIO, slot.contains(fault.page.gfn(pageSize)) { fault.slot = slot }
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
  }
}
