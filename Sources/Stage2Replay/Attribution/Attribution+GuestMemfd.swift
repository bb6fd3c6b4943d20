internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Memory of a guest_memfd: KVM's own file is truncated, punched or poisoned, and KVM unmaps the frames behind it without an
// event (`kvm_gmem_invalidate_begin`). Faults retry until `kvm_gmem_invalidate_end`.

extension Attribution {
  /// A probe on `kvm_unmap_gfn_range` tells of frames of a VM. If they are of a guest_memfd, and no notifier's event of its thread
  /// announced it, it is called for the file, with `mmu_lock` held.
  ///
  /// - Returns: nil for other frames.
  mutating func guestMemfdHole(
    _ frames: FrameRange, vm: VMIndex, by tid: ThreadID
  ) -> GuestMemfdHole? {
    let pageSize = context.pageSize
    guard let slot = vms[vm].slots.table.slot(frames.start), slot.flags.contains(.guestMemfd),
      frames.end <= slot.end, let thread = threads.thread(tid)
    else { return nil }
    let named = NamedFrames(vm: vm, frames: frames)
    let isRepeated = threads[thread].notifier.named.contains(named)
    if !isRepeated, isAnnounced(frames, vm: vm, thread) {
      threads[thread].notifier.named.insert(named)
      return nil
    }
    let start = slot.hva(of: frames.start, pageSize) ?? HVA(frames.start.ipa(pageSize).rawValue)
    return GuestMemfdHole(
      thread: thread, range: HVARange(start: start, end: start + frames.count << pageSize.shift),
      isOfClosedFile: isRepeated)
  }

  /// Whether a thread is in a notifier that unmaps frames: it looks for the frames of a range of host addresses.
  @inline(__always)
  private func isAnnounced(_ frames: FrameRange, vm: VMIndex, _ thread: ThreadIndex) -> Bool {
    guard threads[thread].notifier.last != nil, let run = threads[thread].notifier.run,
      run.kind == .unmapHVARange || run.kind == .setSPTEHVA
    else { return false }
    return vms[vm].slots.table.overlaps(run.range).contains(frames.start)
  }

  /// What is known of a fault's window because its slot is of a guest_memfd: without the probe a hole may be punched at any
  /// moment. Before 7.1 a permission fault comes back whatever was punched.
  func signs(ofGuestMemfd kind: FaultKind) -> WindowSigns {
    if notifiers.areNamed(.unmap) { return [] }
    let comesBack = kind == .permission && !context.profile.profile.era.relaxesGuestMemfd
    return comesBack ? .untoldHoles : [.untoldHoles, .invalidated]
  }
}

/// Frames that KVM unmaps because their guest_memfd loses them.
struct GuestMemfdHole {
  var thread: ThreadIndex
  /// Where the VMM would map the memory.
  var range: HVARange
  /// A notifier comes to each slot once (`kvm_handle_hva_range`). Of the frames that its thread has just been to it is told again
  /// where it closes the file, having given up its mapping (`kvm_gmem_release`).
  var isOfClosedFile: Bool
}
