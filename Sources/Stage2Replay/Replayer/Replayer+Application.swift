internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// What leaves the queue is decided and applied to the VM's model.

extension Replayer where Backend: ~Copyable {
  mutating func apply(_ record: PendingRecord) {
    if record.isApplied { return }
    if case .marker(let position) = record.action { return applyMarker(position) }
    sampleMemory(before: record)
    startMeasuring(vm: record.vm)
    switch record.action {
    case .fault(let fault):
      applyThoseAhead(of: fault, record)
      apply(fault, record)
      timelines.release(fault: fault.node, vm: record.vm)
    case .check(let fault): if checksRules { _ = check(fault, record, vms[record.vm]) }
    // The memory of a protected guest stays as it is until the VM ends (`kvm_unmap_gfn_range`, `kvm_age_gfn`,
    // `kvm_stage2_unmap_range`). No other kernel's protected guest lets go of memory either.
    case .unmap where model.modelsProtected(vms[record.vm].isProtected),
      .deleteSlot where model.modelsProtected(vms[record.vm].isProtected),
      .wrprotect where model.modelsProtected(vms[record.vm].isProtected),
      .age where model.modelsProtected(vms[record.vm].isProtected):
      break
    case .unmap(let frames):
      applyThoseAhead(ofUnmap: record)
      if isDead(vms[record.vm], at: record.sequence) { return }
      unmap(frames, record)
      noteUnmapped(frames, vms[record.vm])
      remember(.unmap, frames, record)
    case .deleteSlot(let frames):
      unmap(frames, record)
      vms[record.vm].hostMappings.forget(frames)
      noteUnmapped(frames, vms[record.vm])
      remember(.slotRemoval, frames, record)
      settleHeldBack(record)
    case .marker: break
    case .endLogging(let frames): vms[record.vm].regions.endLogging(frames)
    case .wrprotect(let frames):
      remember(.writeProtection, frames, record)
      forEachChunk(of: frames) { address, size, replayer in
        let result = replayer.vms[record.vm].backend.wrprotect(address, size: size)
        replayer.emit(record, .wrprotect, address, size: size, result: result.rawValue, basis: .assumed)
        return result
      }
    case .age(let frames, let markOld, let duringFault):
      if isDead(vms[record.vm], at: record.sequence) { return }
      let address = frames.start.ipa(profile.pageSize)
      let size = frames.count << profile.pageSize.shift
      if markOld {
        vms[record.vm].hostMappings.age(frames)
        vms[record.vm].lastAge = (frames, record.tid)
      }
      let young = vms[record.vm].backend.testClearYoung(address, size: size, markOld: markOld)
      remember(markOld ? .age : .testAge, frames, record)
      // A fault that was open may have set the flag just before or just after, as may the hardware at any time.
      let isCertain =
        !young && !duringFault && (!profile.hasHardwareAccessFlag || isUnmapped(frames, record.vm))
      emit(
        record, .testClearYoung, address, size: size, markOld: markOld,
        result: survey.events.tellsFaults ? young ? 1 : 0 : nil,
        basis: isCertain ? .derived : .assumed)
    }
  }

  /// An interval may have ended since the VM's last operation: its memory was what it is now.
  private mutating func sampleMemory(before record: PendingRecord) {
    // What comes in late for a VM that has ended is no later than its end.
    let time = vms[record.vm].end.map { min($0.time, record.time) } ?? record.time
    guard vms[record.vm].memorySeries.isDue(at: time) else { return }
    vms[record.vm].memorySeries.advance(to: time, grid, MemorySample(vms[record.vm].backend.memory))
  }

  private mutating func unmap(_ frames: FrameRange, _ record: PendingRecord) {
    // shrink_folio_list asks whether a folio was used before it unmaps it; khugepaged and faults do not.
    let isReclaimed = vms[record.vm].lastAge.map { $0 == (frames, record.tid) } ?? false
    vms[record.vm].hostMappings.unmap(frames, isReclaimed: isReclaimed)
    forEachChunk(of: frames) { address, size, replayer in
      let result = replayer.vms[record.vm].backend.unmap(address, size: size)
      replayer.emit(record, .unmap, address, size: size, result: result.rawValue, basis: .derived)
      return result
    }
  }

  /// Range operations go chunk by chunk, so that the lock can be dropped in between, up to the first error
  /// (`stage2_apply_range`).
  private mutating func forEachChunk(
    of frames: FrameRange, _ body: (IPA, UInt64, inout Self) -> KernelResult
  ) {
    var address = frames.start.ipa(profile.pageSize).rawValue
    let end = frames.end.ipa(profile.pageSize).rawValue
    while address < end {
      let next = min((address / model.chunkBytes + 1) * model.chunkBytes, end)
      if !body(IPA(address), next - address, &self).isSuccess { return }
      address = next
    }
  }

  /// Whether a VM was being torn down at an event: it is gone by now, or its vCPUs have left the guest for good, and none of
  /// its threads did anything any more. Nothing marks the moment from which `mmu.pgt` is NULL and notifiers have no effect
  /// (`kvm_uninit_stage2_mmu`); giving the memory back takes by far the longest of what follows the last vCPU.
  private func isDead(_ vm: GuestVM<Backend>, at sequence: UInt64) -> Bool {
    guard sequence > vm.lastActivity else { return false }
    if vm.isGone { return true }
    // Only at the end of the trace is it known that nothing more comes.
    guard isFinishing, !vm.vcpus.isEmpty else { return false }
    return vm.vcpus.allSatisfy { tid in knownThread(tid).map { threads[$0].isInUserspace } ?? false }
  }

  private func isUnmapped(_ frames: FrameRange, _ vm: Int) -> Bool {
    frames.count == 1 && !Self.isMapped(frames.start.ipa(profile.pageSize), vms[vm])
  }

  private mutating func apply(_ fault: FaultRecord, _ record: PendingRecord) {
    let vm = vms[record.vm]
    if fault.evidence.region < 0, fault.slot != nil { return apply(adopted(fault, vm), record) }
    let outcome = outcome(of: fault, vm)
    let isChecked = fault.evidence.isChecked || !checksRules
    let checked = isChecked ? CheckResult() : check(fault, record, vm)
    var isRetried = false
    var isStuck = false
    var effect = FaultEffect.nothing(isAssumed: false, refusal: nil)
    let before = checked.walk ?? vm.backend.walk(fault.page)
    switch outcome {
    case .nothing(.noSlot) where vm.wasRunning && !fault.sawMMIO:
      vm.tally.nothing[Int(FaultOutcome.Reason.unknownSlots.rawValue)] += 1
      vm.tally.doubts.outcomes += 1
    case .nothing(let reason):
      vm.tally.nothing[Int(reason.rawValue)] += 1
      if reason.isInUserMemAbort, options.otherKernel == nil, let slot = fault.slot { topUp(fault, slot, vm) }
      isRetried = reason == .faultedAgain
      // A retry because of another vCPU's copy-on-write is told by what the model has, not by an event.
      let isAssumed = (isRetried && fault.mayRaceCopyOnWrite) || (reason == .noSlot && !fault.sawMMIO)
      if isAssumed { vm.tally.doubts.outcomes += 1 }
      effect = .nothing(
        isAssumed: isAssumed, refusal: reason == .ownUnmap ? .ownUnmap : reason == .failed ? .failure : nil)
    case .mkyoung:
      vm.backend.mkyoung(fault.page)
      if case .leaf(let level, _, _) = vm.backend.walk(fault.page) {
        touch(fault, vm, isBlock: level < .l3, record)
      }
      // handle_access_fault hands on what the hardware gave it.
      emit(record, .mkyoung, fault.address, size: 0, result: nil, basis: .derived)
      effect = .madeYoung
    case .performed(let basis):
      guard let slot = fault.slot else { return }
      effect = perform(fault, record, slot, basis, isCorrected: checked.isCorrected)
      // Nobody else maps the page, and yet the kernel says so.
      if case .again = effect, case .invalid = before, !timelines[fault.node].isRaced, !fault.failed,
        !fault.sharesEntry
      {
        isStuck = true
      }
    }
    guard checksRules else { return }
    note(
      effect, of: fault, before, record, vm, contradicts: checked.verdict == .unexplained || isStuck,
      isRetried: isRetried)
  }

  /// What became of a fault.
  ///
  /// A protected guest's fault on what it has ends with -EFAULT in one case: the host took the page by force, of which no
  /// event tells, and the map finds that out.
  private func outcome(of fault: FaultRecord, _ vm: GuestVM<Backend>) -> FaultOutcome {
    let outcome = timelines.outcome(
      of: fault, isProtected: vm.isProtected, isMapped: Self.isMapped(fault.page, vm))
    guard vm.isProtected, outcome == .nothing(.failed), fault.isBadAddress,
      vm.backend.takeByForce(fault.page)
    else { return outcome }
    return .performed(.derived)
  }

  /// The last stage of `user_mem_abort`: relaxes the rights of the mapping that is there, or maps.
  private mutating func perform(
    _ fault: FaultRecord, _ record: PendingRecord, _ slot: Memslot, _ outcome: Basis, isCorrected: Bool
  ) -> FaultEffect {
    let vm = vms[record.vm]
    let pageSize = profile.pageSize
    let gfn = fault.page.gfn(pageSize)
    let vcpu = VCPUIndex(fault.vcpu)
    let tally = vm.tally.sizes[slot.base] ?? SizeTally(pages: areRegionsOfPages ? 1 : 0)
    // pkvm_mem_abort donates pages.
    let mapsBlocks = profile.profile.mapsBlocks && !vm.isProtected
    let size =
      mapsBlocks
      ? timelines.mappingSize(of: fault, in: slot, host: vm.hostMappings, tally: tally) : .page
    if mapsBlocks, !slot.isLogging, slot.supportsBlock(of: pageSize.pmdBytes, at: gfn, pageSize) {
      learn(size, gfn, slot, vm)
    }
    if slot.hva == nil { proveUnmap(fault, record) }
    if let other = options.otherKernel {
      let isCertain =
        max(outcome, size.basis, vm.slotBasis) <= .derived && !timelines[fault.node].isRaced
        && (!fault.sharesEntry || fault.nextAccess == .progressed)
      access(fault, record, slot, isBlock: size.isBlock, isCertain: isCertain, under: other)
      return .again
    }
    topUp(fault, slot, vm)
    if fault.kind == .permission, fault.isWrite, slot.isLogging { proveWriteProtection(fault, record) }

    let relaxes = fault.kind == .permission && !vm.isProtected && (fault.level == .l2) == size.isBlock
    var prot: Stage2Prot = .read
    let isWritable =
      fault.isWrite
      || (relaxes && !slot.isLogging ? self.isWritable(fault.page, vm) : mapsWritable(fault, slot))
    if isWritable { prot.insert(.write) }
    if fault.isExec { prot.insert(.execute) }
    // What a protected guest is given, it has all rights to.
    if vm.isProtected { prot = .rwx }
    let bytes = size.isBlock ? pageSize.pmdBytes : pageSize.bytes
    let isInPages = vm.hostMappings.isInPages(gfn)
    // The address of a block is that of the mapping, but for the relaxation of a block of a transparent huge page: there
    // the VMA asks for pages, and the address stays that of the page (`kvm_s2_fault_get_vma_info`).
    let isPageAddress = relaxes && size.isBlock && (isInPages || !isHugetlb(slot, vm))
    // pkvm_mem_abort, and user_mem_abort of older kernels for a page, hand on what the hardware gave them. Where that is in
    // the middle of a host page, pKVM's lookup reaches into the next page, and a mapping there passes for another vCPU's;
    // kvm_pgtable_walk goes by whole pages.
    let isAligned =
      !vm.isProtected && (profile.profile.alignsFaultIPA ?? profile.profile.era.alignsFaultIPA)
    let isOfPage = isPageAddress || !size.isBlock
    let address = isOfPage ? (isAligned ? fault.page : fault.address) : fault.page.alignedDown(to: bytes)
    let walked = profile.isPKVM || !isOfPage ? address : fault.page
    let result =
      if lostEntry(fault, vm, isBlock: size.isBlock) {
        KernelResult.again
      } else if relaxes {
        vm.backend.relaxPerms(walked, prot: prot)
      } else {
        vm.backend.map(walked, size: bytes, pfn: nil, prot: prot, vcpu: vcpu)
      }
    touch(fault, vm, isBlock: size.isBlock, record)
    let isCertain =
      (result == .success || result == .badAddress) && !timelines[fault.node].isRaced && !isCorrected
      && (!relaxes || !size.isBlock || isInPages)
      && (!fault.sharesEntry || fault.nextAccess == .progressed) && !fault.isEndUnseen
    emit(
      record, relaxes ? .relaxPerms : .map, address, size: relaxes ? 0 : bytes, prot: prot,
      protBasis: vm.isProtected ? .derived : protBasis(of: fault, slot),
      result: result.rawValue,
      basis: isCertain ? max(outcome, size.basis) : .assumed)
    if fault.isWrite, slot.isLogging {
      vm.writeGrants[gfn] = WriteGrant(tid: fault.tid, sequence: fault.end)
    }
    if !result.isSuccess { return .again }
    if relaxes { return .relaxed }
    return .mapped(
      isBlock: size.isBlock, isAssumed: max(outcome, size.basis) != .derived,
      isReadMapped: isWritable && !fault.isWrite)
  }

  /// Whether a fault lost the race for an entry that another vCPU's fault had to change, too: its vCPU faults in the same way
  /// again, on a page that nobody mapped or a right that nobody granted, and that nobody took meanwhile.
  private func lostEntry(_ fault: FaultRecord, _ vm: GuestVM<Backend>, isBlock: Bool) -> Bool {
    guard fault.sharesEntry else { return false }
    switch (fault.kind, fault.nextAccess) {
    case (.translation, .again), (.translation, .againAtOnce):
      return !isBlock && !Self.isMapped(fault.page, vm)
    // On another CPU the TLB may hold the leaf as it was.
    case (.permission, .againAtOnce):
      guard case .leaf(_, let prot, _) = vm.backend.walk(fault.page) else { return false }
      return fault.isWrite ? !prot.contains(.write) : fault.isExec && !prot.isSuperset(of: .execute)
    default: return false
    }
  }

  /// Whether a slot's memory is taken to be hugetlb pages.
  private func isHugetlb(_ slot: Memslot, _ vm: GuestVM<Backend>) -> Bool {
    if let tally = vm.tally.sizes[slot.base], tally.pages > 0 { return false }
    if let known = vm.tally.hugetlb[slot] { return known }
    let isHugetlb =
      slot.hva.map { survey.ages.skip($0, bytes: slot.pages << profile.pageSize.shift) } ?? false
    vm.tally.hugetlb[slot] = isHugetlb
    return isHugetlb
  }

  /// `user_mem_abort` begins with the memory cache, before it looks for the page: what it comes to makes no difference.
  private func topUp(_ fault: FaultRecord, _ slot: Memslot, _ vm: GuestVM<Backend>) {
    let era = profile.profile.era
    if fault.kind != .permission || vm.isProtected || profile.isPKVM && era.topsUpOnEveryFault
      || slot.isLogging && (fault.isWrite || era.topsUpWhileLogging)
    {
      vm.backend.topUpMemcache(vcpu: VCPUIndex(fault.vcpu), pages: profile.minPages)
    }
  }

  private func touch(_ fault: FaultRecord, _ vm: GuestVM<Backend>, isBlock: Bool, _ record: PendingRecord) {
    vm.workingSet.touch(
      fault.page.gfn(profile.pageSize), isBlock: isBlock,
      isFixed: fault.slot.map { GuestMemory.isFixed($0, besides: vm.largestSlot) } ?? false, at: record.time,
      interval: grid.index(of: record.time))
  }

  private func learn(_ size: MappingSize, _ gfn: GFN, _ slot: Memslot, _ vm: GuestVM<Backend>) {
    if vm.hostMappings[gfn]?.basis != .derived, size.basis == .derived {
      if size.isBlock {
        vm.tally.sizes[slot.base, default: SizeTally()].blocks += 1
      } else {
        vm.tally.sizes[slot.base, default: SizeTally()].pages += 1
      }
    }
    vm.hostMappings.learn(gfn, size)
  }

  /// A write fault, in a slot that logs, of the vCPU that was granted the right to write and used it: the VMM had the
  /// page write-protected since, which leaves no event (KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG). Of the kernel's call,
  /// its range and its moment, only this page is known. Another vCPU's write fault proves nothing: its TLB may hold the mapping as it was before.
  private mutating func proveWriteProtection(_ fault: FaultRecord, _ record: PendingRecord) {
    let vm = vms[record.vm]
    guard isWritable(fault.page, vm), let grant = vm.writeGrants[fault.page.gfn(profile.pageSize)],
      grant.tid == fault.tid, timelines[fault.node].entry >= grant.sequence
    else { return }
    let size = profile.pageSize.bytes
    let result = vm.backend.wrprotect(fault.page, size: size)
    emit(record, .wrprotect, fault.page, size: size, result: result.rawValue, basis: .assumed)
  }

  /// A translation fault on what was mapped, in a slot whose host address is not known: an unmap that could not be
  /// joined with the slot came before. Of its range only this page is known.
  private mutating func proveUnmap(_ fault: FaultRecord, _ record: PendingRecord) {
    let vm = vms[record.vm]
    guard fault.kind == .translation, !timelines[fault.node].isRaced, Self.isMapped(fault.page, vm) else {
      return
    }
    let size = profile.pageSize.bytes
    let result = vm.backend.unmap(fault.page, size: size)
    emit(record, .unmap, fault.page, size: size, result: result.rawValue, basis: .assumed)
  }

  private static func isMapped(_ ipa: IPA, _ vm: GuestVM<Backend>) -> Bool {
    if case .leaf = vm.backend.walk(ipa) { return true }
    return false
  }

  /// Whether the mapping of `ipa` permits writing, as far as the model knows.
  private func isWritable(_ ipa: IPA, _ vm: GuestVM<Backend>) -> Bool {
    if case .leaf(_, let prot, _) = vm.backend.walk(ipa) { return prot.contains(.write) }
    return false
  }

  /// How the rights that a fault asks for are known. A fault that is no write maps writable if the host can write there,
  /// which no event tells; a slot that is read-only or logs does not.
  private func protBasis(of fault: FaultRecord, _ slot: Memslot) -> Basis {
    let isWriteKnown = fault.isWrite || slot.flags.contains(.readOnly) || slot.isLogging
    // With DIC everything is mapped executable.
    let isExecuteKnown = fault.isExec || profile.basis["dic"] == .derived
    return isWriteKnown && isExecuteKnown ? .derived : .assumed
  }

  /// Whether a fault that is no write maps writable all the same: the host maps what it may write already, unless dirty
  /// pages are logged. A later write fault on the page shows that it did not.
  private func mapsWritable(_ fault: FaultRecord, _ slot: Memslot) -> Bool {
    if slot.flags.contains(.readOnly) || slot.isLogging { return false }
    return !timelines.laterWriteFault(on: fault)
  }
}
