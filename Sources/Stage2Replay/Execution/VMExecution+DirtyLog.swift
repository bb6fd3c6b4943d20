internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Dirty logging: write protection and eager splitting, of which no event tells.

extension VMExecution where Backend: ~Copyable {
  /// Something happens to a slot's dirty bitmap.
  mutating func change(_ log: DirtyLogChange, _ origin: StepOrigin) {
    switch log {
    case .allocate(let base): host.dirty.allocate(base)
    case .move(let old, let base): host.dirty.move(from: old, to: base)
    case .free(let base): host.dirty.free(base)
    case .clear(let frames, _): clearDirtyLog(frames, origin)
    }
  }

  /// The VMM clears the log of a slot, all of it in one call. Which pages it had is known from their write faults; a VMM that
  /// clears only parts, or later than it read the log, clears less than this.
  private mutating func clearDirtyLog(_ frames: FrameRange, _ origin: StepOrigin) {
    guard let dirty = host.dirty.clear(frames.start) else { return }
    carried.note(.clearedDirtyLog(frames, first: dirty.first, masks: dirty.masks))
    clearDirtyLog(frames, first: dirty.first, masks: dirty.masks, origin)
  }

  /// `kvm_vm_ioctl_clear_dirty_log`, of these words from a page of the slot on.
  mutating func clearDirtyLog(_ frames: FrameRange, first: UInt64, masks: [UInt64], _ origin: StepOrigin) {
    var slot = Stage2Model.Memslot(frames)
    slot.flags = .logDirtyPages
    kvm.clearDirtyLog(slot: slot, first: first, masks: masks)
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
    carried.note(.writeProtected(gfn))
    writeProtect(gfn, origin)
  }

  /// `kvm_arch_mmu_enable_log_dirty_pt_masked` for one page.
  mutating func writeProtect(_ gfn: GFN, _ origin: StepOrigin) {
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

  // MARK: Eager splitting

  /// A slot begins to log: where the VMM asked KVM to split blocks then, it does.
  mutating func splitEagerly(_ frames: FrameRange, _ origin: StepOrigin) {
    if host.splitsEagerly { splitBlocks(frames, proven: nil, origin) }
  }

  /// A permission or access flag fault met a page where a block is proven to have been, in a slot that logs, or did: nothing but
  /// eager splitting puts pages in the place of a block and leaves them mapped (KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE). It is done to
  /// the whole slot when it begins to log (`kvm_mmu_split_memory_region`).
  @inline(never)
  mutating func proveSplit(_ fault: SettledFault, _ origin: StepOrigin) {
    guard !kvm.profile.isPKVM, fault.walkLevel == .l3, let slot = fault.slot, slot.hva != nil,
      let region = fault.evidence.region, checks.table.isProvenBlock(region, fault),
      slot.isLogging || checks.table.regions[region].blockKnowledge.contains(.mayBeProtected),
      case .leaf(.l2, _, _) = kvm.stage2.walk(fault.page)
    else { return }
    host.splitsEagerly = true
    splitBlocks(FrameRange(start: slot.base, end: slot.end), proven: region, origin)
  }

  /// Splits the blocks of a slot one by one: how many KVM splits between two looks at its cache (the chunk size) is not known.
  private mutating func splitBlocks(_ frames: FrameRange, proven: RegionIndex?, _ origin: StepOrigin) {
    let blocks =
      checks.table.regions.block(frames.start)...checks.table.regions.block(GFN(frames.end.rawValue - 1))
    for region in checks.table.regions.positions(in: blocks) {
      let base = GFN(checks.table.regions.block(of: region) * pageSize.pagesPerPMD).ipa(pageSize)
      guard case .leaf(.l2, _, let isYoung) = kvm.stage2.walk(base) else { continue }
      let isAged = proven != nil && !isYoung
      guard split(base, isAged: isAged, origin) else { continue }
      carried.note(.split(base, isAged: isAged))
      checks.table.noteSplit(region, at: origin.sequence, isProven: region == proven)
    }
  }

  /// Splits one block.
  ///
  /// - Parameter isAged: it was aged since it was split, of which nothing was known then.
  /// - Returns: whether there was one.
  @discardableResult
  mutating func split(_ base: IPA, isAged: Bool, _ origin: StepOrigin) -> Bool {
    guard case .leaf(.l2, _, _) = kvm.stage2.walk(base) else { return false }
    _ = kvm.stage2.topUpSplitCache(pages: 1)
    let result = kvm.stage2.split(base, size: pageSize.pmdBytes, vcpu: VCPUIndex(0))
    guard result.isSuccess else { return false }
    emit(
      .split, base, size: pageSize.pmdBytes, result: result.rawValue, basis: .assumed,
      of: known.basis(at: base.gfn(pageSize)), origin)
    if isAged { keepAge(of: base) }
    return true
  }

  /// A split that a fault proved was done when logging began, and makes pages young (`kvm_pgtable_stage2_create_unlinked`). What
  /// the block was aged by since then aged the pages; but it may have been old before.
  private mutating func keepAge(of base: IPA) {
    _ = kvm.stage2.testClearYoung(base, size: pageSize.pmdBytes, markOld: true)
    let first = base.gfn(pageSize)
    checks.table.doubtAge(of: FrameRange(start: first, end: first + pageSize.pagesPerPMD))
  }
}
