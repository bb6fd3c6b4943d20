internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Dirty logging: write protection, of which no event tells.

extension VMExecution where Backend: ~Copyable {
  /// Something happens to a slot's dirty bitmap.
  mutating func change(_ log: DirtyLogChange, _ origin: StepOrigin) {
    switch log {
    case .allocate(let base): host.dirty.allocate(base)
    case .move(let old, let base): host.dirty.move(from: old, to: base)
    case .clear(let frames, _): clearDirtyLog(frames, origin)
    }
  }

  /// The VMM clears the log of a slot, all of it in one call. Which pages it had is known from their write faults; a VMM that
  /// clears only parts, or later than it read the log, clears less than this.
  private mutating func clearDirtyLog(_ frames: FrameRange, _ origin: StepOrigin) {
    guard let dirty = host.dirty.clear(frames.start) else { return }
    var slot = Stage2Model.Memslot(frames)
    slot.flags = .logDirtyPages
    kvm.clearDirtyLog(slot: slot, first: dirty.first, masks: dirty.masks)
    emitRangeCalls(basis: .assumed, origin)
    remember(.writeProtection, frames, origin)
  }

  /// A write fault, in a slot that logs, of the vCPU that was granted the right to write and used it: the VMM had the
  /// page write-protected since, and no moment was found at which it cleared the log. Of the kernel's call, its range and its
  /// moment, only this page is known. Another vCPU's write fault proves nothing: its TLB may hold the mapping as it was before.
  @inline(never)
  mutating func proveWriteProtection(_ fault: SettledFault, _ origin: StepOrigin) {
    guard isWritable(fault.page), host.usedWriteGrant(fault, pageSize) else { return }
    let gfn = fault.page.gfn(pageSize)
    kvm.kvmArchMMUEnableLogDirtyPTMasked(
      Stage2Model.Memslot(FrameRange(start: gfn, end: gfn + 1)), offset: 0, mask: 1, initiallySet: false)
    emitRangeCalls(basis: .assumed, origin)
  }

  /// Whether the mapping of `ipa` permits writing, as far as the model knows.
  @inline(never)
  mutating func isWritable(_ ipa: IPA) -> Bool {
    if case .leaf(_, let prot, _) = kvm.stage2.walk(ipa) { return prot.contains(.write) }
    return false
  }
}
