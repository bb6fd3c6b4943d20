internal import KVMTrace
internal import KVMTypes

// Notifications by the thread of a vCPU, inside the window of its own fault. A copy-on-write or a migration on the way into the
// host's memory unmaps the page, and reclaim ages and unmaps whatever it finds: inside the allocation of the page, before
// the operation, or when the VMM's cgroup is over its limit on the way back to the guest (mem_cgroup_handle_over_high,
// called from kvm_xfer_to_guest_mode_handle_work), behind it.

extension Attribution {
  /// A fault's own thread is about to change memory of its VM: the fault is held against the model as it is before.
  mutating func noteOwnNotification(vm: VMIndex, _ thread: ThreadIndex, _ record: TraceRecord) {
    guard threads[thread].vcpu.vm == vm, let open = threads[thread].vcpu.openFault,
      !lookahead[open].evidence.isChecked
    else { return }
    let copy = lookahead.copy(lookahead[open])
    completeEvidence(of: copy, vm: vm, on: record.cpu)
    lookahead[open].evidence.isChecked = true
    lookahead.noteOwnNotification(of: open, at: clock.now)
    enqueue(.check(copy), vm: vm, record, threads[thread].place)
  }

  /// A thread unmaps frames of a VM, perhaps inside a fault of its own.
  mutating func noteOwnUnmap(_ frames: FrameRanges, of vm: VMIndex, _ thread: ThreadIndex) {
    guard threads[thread].vcpu.vm == vm, let open = threads[thread].vcpu.openFault else { return }
    let gfn = lookahead[open].page.gfn(context.pageSize)
    if !threads[thread].notifier.isReclaiming, frames.contains(gfn) {
      lookahead[open].sawOwnUnmap = true
    } else {
      lookahead[open].sawOwnReclaim = true
      lookahead[open].mayBeInvalidated = true
    }
  }

  /// A thread unmaps a range: whether it reclaims it. What is unmapped inside another unmap, as of a huge page that is split, is
  /// unmapped for the same reason.
  @inline(__always)
  mutating func noteReclaim(_ range: HVARange, _ thread: ThreadIndex) {
    guard let last = threads[thread].notifier.run, last.kind != .testAgeHVA, last.range.overlaps(range)
    else {
      threads[thread].notifier.isReclaiming = false
      return
    }
    if last.kind == .ageHVA { threads[thread].notifier.isReclaiming = true }
  }
}
