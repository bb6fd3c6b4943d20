internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Memory of a guest_memfd: KVM's own file is truncated, punched or poisoned, and KVM unmaps the frames behind it without an
// event (`kvm_gmem_invalidate_begin`). Faults retry until `kvm_gmem_invalidate_end`.

extension Attribution {
  /// A probe on `kvm_unmap_gfn_range` tells of frames of a guest_memfd, and no notifier's event of its thread announced it: it is
  /// called for the file, with `mmu_lock` held.
  ///
  /// - Returns: whether it was.
  mutating func takeHole(_ record: TraceRecord) -> Bool {
    let told = record.probedRange
    guard told.start < told.end, let vm = vms.roster.vm(at: told.kvm), !vms[vm].identity.isProtected,
      let slot = vms[vm].slots.table.slot(told.start), slot.flags.contains(.guestMemfd), told.end <= slot.end,
      let thread = threads.thread(record.tid), !isAnnounced(told.start, vm: vm, thread)
    else { return false }
    reach(thread)
    let start = (slot.hva ?? HVA(0)) + ((told.start - slot.base) << context.pageSize.shift)
    let range = HVARange(start: start, end: start + ((told.end - told.start) << context.pageSize.shift))
    threads[thread].place.notifiers &+= 1
    threads[thread].notifier.run = nil
    threads[thread].notifier.awaitsName = false
    threads[thread].notifier.last = clock.now
    endUnmaps(of: thread, unlike: range)
    var frames = FrameRanges()
    frames.append(FrameRange(start: told.start, end: told.end))
    notify(vm, .unmap, range, frames, thread, record, isCopy: false, mayBeOtherMemory: false)
    return true
  }

  /// Whether a thread is in a notifier that unmaps a frame: it looks for the frames of a range of host addresses.
  private func isAnnounced(_ gfn: GFN, vm: VMIndex, _ thread: ThreadIndex) -> Bool {
    guard threads[thread].notifier.last != nil, let run = threads[thread].notifier.run,
      run.kind == .unmapHVARange || run.kind == .setSPTEHVA
    else { return false }
    return vms[vm].slots.table.overlaps(run.range).contains(gfn)
  }

  /// What is known of a fault's window because its slot is of a guest_memfd: without the probe a hole may be punched at any
  /// moment. Before 7.1 a permission fault comes back whatever was punched.
  func signs(ofGuestMemfd kind: FaultKind) -> WindowSigns {
    if notifiers.areNamed(.unmap) { return [] }
    let comesBack = kind == .permission && !context.profile.profile.era.relaxesGuestMemfd
    return comesBack ? .untoldHoles : [.untoldHoles, .invalidated]
  }
}
