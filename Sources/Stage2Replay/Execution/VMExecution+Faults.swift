internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// A guest's fault: held against the model, then handled as its decision says.

extension VMExecution where Backend: ~Copyable {
  func handleGuestAbort(_ decided: DecidedFault, _ origin: StepOrigin) {
    let fault = decided.window
    let outcome = outcome(of: decided)
    let isChecked = fault.evidence.isChecked || !context.checksRules
    let checked =
      isChecked ? CheckResult() : checks.check(fault, at: origin.time, known, &backend)
    var isStuck = false
    var isRetried = false
    var effect = FaultEffect.nothing(isAssumed: false, refusal: nil)
    let before = checked.walk ?? backend.walk(fault.page)
    switch outcome {
    case .nothing(let reason):
      isRetried = reason == .faultedAgain
      guard let nothing = end(fault, reason) else { break }
      effect = nothing
    case .mkyoung:
      backend.mkyoung(fault.page)
      if case .leaf(let level, _, _) = backend.walk(fault.page) {
        touch(fault, isBlock: level < .l3, origin)
      }
      // handle_access_fault hands on what the hardware gave it.
      emit(.mkyoung, fault.address, size: 0, result: nil, basis: .derived, origin)
      effect = .madeYoung
    case .performed(let basis):
      guard let slot = fault.slot else { return }
      effect = perform(decided, slot, basis, isCorrected: checked.isCorrected, origin)
      // Nobody else maps the page, and yet the kernel says so.
      if case .again = effect, case .invalid = before, !decided.decision.isRaced, !fault.failed,
        !fault.sharesEntry
      {
        isStuck = true
      }
    }
    guard context.checksRules else { return }
    checks.note(
      effect, of: fault, before, at: origin.time, known,
      contradicts: checked.verdict == .unexplained || isStuck, isRetried: isRetried)
  }

  /// What became of a fault.
  ///
  /// A protected guest's fault on what it has ends with -EFAULT in one case: the host took the page by force, of which no
  /// event tells, and the map finds that out.
  private func outcome(of decided: DecidedFault) -> FaultOutcome {
    let fault = decided.window
    let outcome =
      fault.mayRaceCopyOnWrite && isMapped(fault.page)
      ? decided.decision.outcomeIfMapped : decided.decision.outcome
    guard known.isProtected, outcome == .nothing(.failed), fault.isBadAddress,
      backend.takeByForce(fault.page)
    else { return outcome }
    return .performed(.derived)
  }

  /// A fault comes to nothing: what that means for the table.
  private func end(_ fault: FaultWindow, _ reason: FaultOutcome.Reason) -> FaultEffect? {
    if reason == .noSlot, known.wasRunning, !fault.sawMMIO {
      tally.nothing[Int(FaultOutcome.Reason.unknownSlots.rawValue)] += 1
      tally.doubts.outcomes += 1
      return nil
    }
    tally.nothing[Int(reason.rawValue)] += 1
    if reason.isInUserMemAbort, context.options.otherKernel == nil, let slot = fault.slot {
      topUp(fault, slot)
    }
    // A retry because of another vCPU's copy-on-write is told by what the model has, not by an event.
    let isAssumed =
      (reason == .faultedAgain && fault.mayRaceCopyOnWrite) || (reason == .noSlot && !fault.sawMMIO)
    if isAssumed { tally.doubts.outcomes += 1 }
    return .nothing(
      isAssumed: isAssumed,
      refusal: reason == .ownUnmap ? .ownUnmap : reason == .failed ? .failure : nil)
  }

  /// The last stage of `user_mem_abort`: relaxes the rights of the mapping that is there, or maps.
  private func perform(
    _ decided: DecidedFault, _ slot: Memslot, _ outcome: Basis, isCorrected: Bool, _ origin: StepOrigin
  ) -> FaultEffect {
    let fault = decided.window
    let gfn = fault.page.gfn(pageSize)
    let size = mappingSize(decided, slot)
    if slot.hva == nil { proveUnmap(decided, origin) }
    if let other = context.options.otherKernel {
      let isCertain =
        max(outcome, size.basis, known.slotBasis) <= .derived && !decided.decision.isRaced
        && (!fault.sharesEntry || fault.nextAccess == .progressed)
      access(decided, slot, isBlock: size.isBlock, isCertain: isCertain, under: other, origin)
      return .again
    }
    topUp(fault, slot)
    if fault.kind == .permission, fault.isWrite, slot.isLogging { proveWriteProtection(fault, origin) }

    let relaxes = fault.kind == .permission && !known.isProtected && (fault.level == .l2) == size.isBlock
    let isWritable = mapsWritable(decided, slot, relaxes: relaxes)
    // What a protected guest is given, it has all rights to.
    let prot: Stage2Prot = known.isProtected ? .rwx : fault.prot(isWritable: isWritable)
    let bytes = size.isBlock ? pageSize.pmdBytes : pageSize.bytes
    let isInPages = host.mappings.isInPages(gfn)
    // The address of a block is that of the mapping, but for the relaxation of a block of a transparent huge page: there
    // the VMA asks for pages, and the address stays that of the page (`kvm_s2_fault_get_vma_info`).
    let isPageAddress =
      relaxes && size.isBlock
      && (isInPages || !host.isHugetlb(slot, context.survey.ages, pageSize))
    // pkvm_mem_abort, and user_mem_abort of older kernels for a page, hand on what the hardware gave them. Where that is in
    // the middle of a host page, pKVM's lookup reaches into the next page, and a mapping there passes for another vCPU's;
    // kvm_pgtable_walk goes by whole pages.
    let profile = context.profile
    let isAligned =
      !known.isProtected && (profile.profile.alignsFaultIPA ?? profile.profile.era.alignsFaultIPA)
    let isOfPage = isPageAddress || !size.isBlock
    let address = isOfPage ? (isAligned ? fault.page : fault.address) : fault.page.alignedDown(to: bytes)
    let walked = profile.isPKVM || !isOfPage ? address : fault.page
    let result =
      if lostEntry(fault, isBlock: size.isBlock) {
        KernelResult.again
      } else if relaxes {
        backend.relaxPerms(walked, prot: prot)
      } else {
        backend.map(walked, size: bytes, pfn: nil, prot: prot, vcpu: VCPUIndex(fault.vcpu))
      }
    touch(fault, isBlock: size.isBlock, origin)
    let isCertain =
      (result == .success || result == .badAddress) && !decided.decision.isRaced && !isCorrected
      && (!relaxes || !size.isBlock || isInPages)
      && (!fault.sharesEntry || fault.nextAccess == .progressed) && !fault.isEndUnseen
    emit(
      relaxes ? .relaxPerms : .map, address, size: relaxes ? 0 : bytes, prot: prot,
      protBasis: known.isProtected ? .derived : protBasis(of: fault, slot), result: result.rawValue,
      basis: isCertain ? max(outcome, size.basis) : .assumed, origin)
    if fault.isWrite, slot.isLogging { host.grantWrite(to: gfn, fault) }
    if !result.isSuccess { return .again }
    if relaxes { return .relaxed }
    return .mapped(
      isBlock: size.isBlock, isAssumed: max(outcome, size.basis) != .derived,
      isReadMapped: isWritable && !fault.isWrite)
  }

  /// Whether the fault maps a page or a block.
  private func mappingSize(_ decided: DecidedFault, _ slot: Memslot) -> MappingSize {
    // pkvm_mem_abort donates pages.
    guard context.profile.profile.mapsBlocks, !known.isProtected else { return .page }
    let fault = decided.window
    let gfn = fault.page.gfn(pageSize)
    let size = MappingSize(
      of: fault, in: slot, proof: decided.decision.sizeProof, known: host.mappings[gfn],
      tally: host.tally(slot, areRegionsOfPages: context.areRegionsOfPages), pageSize)
    if slot.mayBeMapped(byBlockAt: fault.page, pageSize) { host.learn(size, gfn, slot) }
    return size
  }

  /// Whether the fault maps writable: a write does. Else it does if the host maps what it may write already, unless dirty
  /// pages are logged; a later write fault on the page shows that it did not.
  private func mapsWritable(_ decided: DecidedFault, _ slot: Memslot, relaxes: Bool) -> Bool {
    let fault = decided.window
    if fault.isWrite { return true }
    if slot.isLogging { return false }
    if relaxes { return isWritable(fault.page) }
    return !slot.flags.contains(.readOnly) && !decided.decision.isWrittenLater
  }

  /// How the rights that a fault asks for are known. A fault that is no write maps writable if the host can write there,
  /// which no event tells; a slot that is read-only or logs does not.
  private func protBasis(of fault: FaultWindow, _ slot: Memslot) -> Basis {
    let isWriteKnown = fault.isWrite || slot.flags.contains(.readOnly) || slot.isLogging
    // With DIC everything is mapped executable.
    let isExecuteKnown = fault.isExec || context.profile.basis["dic"] == .derived
    return isWriteKnown && isExecuteKnown ? .derived : .assumed
  }

  /// Whether a fault lost the race for an entry that another vCPU's fault had to change, too: its vCPU faults in the same way
  /// again, on a page that nobody mapped or a right that nobody granted, and that nobody took meanwhile.
  private func lostEntry(_ fault: FaultWindow, isBlock: Bool) -> Bool {
    guard fault.sharesEntry else { return false }
    switch (fault.kind, fault.nextAccess) {
    case (.translation, .again), (.translation, .againAtOnce): return !isBlock && !isMapped(fault.page)
    // On another CPU the TLB may hold the leaf as it was.
    case (.permission, .againAtOnce):
      guard case .leaf(_, let prot, _) = backend.walk(fault.page) else { return false }
      return fault.isWrite ? !prot.contains(.write) : fault.isExec && !prot.isSuperset(of: .execute)
    default: return false
    }
  }

  /// `user_mem_abort` begins with the memory cache, before it looks for the page: what it comes to makes no difference.
  private func topUp(_ fault: FaultWindow, _ slot: Memslot) {
    let profile = context.profile
    let era = profile.profile.era
    if fault.kind != .permission || known.isProtected || profile.isPKVM && era.topsUpOnEveryFault
      || slot.isLogging && (fault.isWrite || era.topsUpWhileLogging)
    {
      backend.topUpMemcache(vcpu: VCPUIndex(fault.vcpu), pages: profile.minPages)
    }
  }

  /// A write fault, in a slot that logs, of the vCPU that was granted the right to write and used it: the VMM had the
  /// page write-protected since, which leaves no event (KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG). Of the kernel's call,
  /// its range and its moment, only this page is known. Another vCPU's write fault proves nothing: its TLB may hold the
  /// mapping as it was before.
  private func proveWriteProtection(_ fault: FaultWindow, _ origin: StepOrigin) {
    guard isWritable(fault.page), host.usedWriteGrant(fault, pageSize) else { return }
    let result = backend.wrprotect(fault.page, size: pageSize.bytes)
    emit(.wrprotect, fault.page, size: pageSize.bytes, result: result.rawValue, basis: .assumed, origin)
  }

  /// A translation fault on what was mapped, in a slot whose host address is not known: an unmap that could not be
  /// joined with the slot came before. Of its range only this page is known.
  private func proveUnmap(_ decided: DecidedFault, _ origin: StepOrigin) {
    let fault = decided.window
    guard fault.kind == .translation, !decided.decision.isRaced, isMapped(fault.page) else { return }
    let result = backend.unmap(fault.page, size: pageSize.bytes)
    emit(.unmap, fault.page, size: pageSize.bytes, result: result.rawValue, basis: .assumed, origin)
  }

  /// Whether the mapping of `ipa` permits writing, as far as the model knows.
  private func isWritable(_ ipa: IPA) -> Bool {
    if case .leaf(_, let prot, _) = backend.walk(ipa) { return prot.contains(.write) }
    return false
  }
}

extension FaultWindow {
  /// The rights that the fault asks for, given whether its page may be written.
  fileprivate func prot(isWritable: Bool) -> Stage2Prot {
    var prot: Stage2Prot = .read
    if isWritable { prot.insert(.write) }
    if isExec { prot.insert(.execute) }
    return prot
  }
}
