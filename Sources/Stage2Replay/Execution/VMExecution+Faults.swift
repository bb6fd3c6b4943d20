internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// A guest's fault: held against the model, then handled as its decision says.

extension VMExecution where Backend: ~Copyable {
  @inline(__always)
  mutating func handleGuestAbort(_ fault: SettledFault, _ origin: StepOrigin) {
    host.enter(epoch: fault.evidence.endEpoch)
    let outcome = outcome(of: fault)
    if fault.kind.needsLeaf { proveSplit(fault, origin) }
    let checked =
      fault.evidence.isChecked
      ? CheckResult(isCorrected: checks.takeCorrection(of: fault))
      : checks.checkExpected(fault, knownFrom: known.knownFrom, &kvm.stage2)
        ?? checks.check(fault, at: origin.time, known, &kvm.stage2)
    carryResync()
    if checked.isCorrected, context.options.measuresWork { workBefore = kvm.stage2.work }
    let before = checked.walk ?? kvm.stage2.walk(fault.page)
    guard case .performed(let basis) = outcome else {
      return handleOther(fault, outcome, before, contradicts: checked.verdict == .unexplained, origin)
    }
    guard let slot = fault.slot, let region = fault.evidence.region else { return }
    if checked.isCorrected, slot.flags.contains(.guestMemfd) {
      emitHole(fault, origin)
      carried.note(.hole)
    }
    var effect = perform(fault, region, basis, isCorrected: checked.isCorrected, origin)
    if fault.decision.fate == .gone {
      effect = forgetMapping(of: fault)
      carried.note(.forgotten)
    }
    var isStuck = false
    // Nobody else maps the page, and yet the kernel says so.
    if case .again = effect, case .invalid = before, !fault.decision.isRaced, !fault.failed,
      !fault.sharesEntry
    {
      isStuck = true
    }
    checks.note(
      effect, of: fault, before, at: origin.time, known.id, knownFrom: known.knownFrom,
      contradicts: checked.verdict == .unexplained || isStuck, isRetried: false)
  }

  /// A fault was handled, and then its slot went: what it mapped went with that, whose unmap is done already.
  @inline(never)
  mutating func forgetMapping(of fault: SettledFault) -> FaultEffect {
    if !known.isProtected, case .leaf(let level, _, _) = kvm.stage2.walk(fault.page) {
      let bytes = pageSize.granule(level)
      _ = kvm.stage2.unmap(fault.page.alignedDown(to: bytes), size: bytes)
    }
    return .nothing(isAssumed: false, refusal: nil)
  }

  /// A fault that maps nothing and grants no right: it sets the access flag, or comes to nothing.
  @inline(never)
  private mutating func handleOther(
    _ fault: SettledFault, _ outcome: FaultOutcome, _ before: Stage2Walk, contradicts: Bool,
    _ origin: StepOrigin
  ) {
    var isRetried = false
    var effect = FaultEffect.nothing(isAssumed: false, refusal: nil)
    if case .nothing(let reason) = outcome {
      isRetried = reason == .faultedAgain
      effect = end(fault, reason) ?? effect
    } else {
      // The leaf stays what it was, but young. If no slot holds the page any more, a fault in one mapped it.
      if case .leaf(let level, _, _) = before,
        let region = fault.evidence.region ?? checks.table.region(of: fault)
      {
        touch(fault, in: region, level: level, origin)
      }
      handleAccessFault(fault, origin)
      carried.note(.accessFault(before: before))
      effect = .madeYoung
    }
    checks.note(
      effect, of: fault, before, at: origin.time, known.id, knownFrom: known.knownFrom,
      contradicts: contradicts, isRetried: isRetried)
  }

  /// `handle_access_fault`, which hands on the address that the hardware gave it.
  mutating func handleAccessFault(_ fault: SettledFault, _ origin: StepOrigin) {
    kvm.handleAccessFault(fault.address)
    emit(
      .mkyoung, fault.address, size: 0, result: nil, basis: fault.reasonUnknown == nil ? .derived : .assumed,
      of: fault.slot?.basis ?? known.slotBasis, origin)
  }

  /// A correction of the table is another kernel's, too.
  @inline(__always)
  mutating func carryResync() {
    if carried.areKept, let resync = checks.takeResync() { carried.note(.resync(resync)) }
  }

  /// What became of a fault.
  ///
  /// A protected guest's fault on what it has ends with -EFAULT in one case: the host took the page by force, of which no
  /// event tells, and the map finds that out.
  @inline(__always)
  private mutating func outcome(of fault: SettledFault) -> FaultOutcome {
    let outcome =
      fault.mayRaceCopyOnWrite && isMapped(fault.page)
      ? fault.decision.outcomeIfMapped : fault.decision.outcome
    return known.isProtected ? outcomeOfProtected(fault, outcome) : outcome
  }

  @inline(never)
  private mutating func outcomeOfProtected(_ fault: SettledFault, _ outcome: FaultOutcome) -> FaultOutcome {
    guard outcome == .nothing(.failed), fault.isBadAddress, kvm.stage2.takeByForce(fault.page) else {
      return outcome
    }
    carried.note(.takenByForce)
    return .performed(.derived)
  }

  /// A fault comes to nothing: what that means for the table.
  @inline(never)
  private mutating func end(_ fault: SettledFault, _ reason: NoOperationReason) -> FaultEffect? {
    if reason == .noSlot, known.wasRunning, !fault.sawMMIO {
      tally.nothing[Int(NoOperationReason.unknownSlots.rawValue)] += 1
      tally.doubts.outcomes += 1
      return nil
    }
    tally.nothing[Int(reason.rawValue)] += 1
    if reason.isInUserMemAbort, fault.slot != nil {
      let faultIn: FaultIn =
        switch reason {
        case .failed: .failed
        case .gotException: .hwPoison
        default: .page(.page(pageSize))
        }
      _ = memAbort(fault, faultIn, isRetried: true)
    }
    // A retry because of another vCPU's copy-on-write is told by what the model has, not by an event; that what made a fault
    // retry has gone on is taken to be so; and the VMM may have begun the guest anew where a table of vectors could be, and given
    // up memory that was well.
    let isAssumed =
      reason == .faultedAgain
      && (fault.mayRaceCopyOnWrite || fault.evidence.repeatsRetry || fault.evidence.endsInSignal)
      || (reason == .noSlot && !fault.sawMMIO) || reason == .gotException
    if isAssumed { tally.doubts.outcomes += 1 }
    if reason == .gotException, let region = fault.evidence.region {
      checks.table.regions[region].mayLackPages = true
    }
    return .nothing(
      isAssumed: isAssumed,
      refusal: reason == .ownUnmap ? .ownUnmap : reason == .failed ? .failure : nil)
  }

  /// The last stage of `user_mem_abort`, for a fault in a slot: relaxes the rights of the mapping that is there, or maps.
  @inline(never)
  private mutating func perform(
    _ fault: SettledFault, _ region: RegionIndex, _ outcome: Basis, isCorrected: Bool, _ origin: StepOrigin
  ) -> FaultEffect {
    guard let slot = fault.slot else { return .again }
    let size =
      fault.evidence.isLoggingOpen
      ? mappingSize(ofOpenLogging: fault, slot, region)
      : fault.decision.mayMapBlock ? mappingSize(fault, slot, region) : .page
    if fault.isOnBlock, slot.isLogging { learnBlock(of: fault, slot, region) }
    noteOpenSize(fault, region, size)
    if slot.hva == nil { proveUnmap(fault, origin) }
    if fault.kind == .permission, fault.isWrite, slot.isLogging { proveWriteProtection(fault, origin) }

    let relaxes = fault.kind == .permission && !known.isProtected && fault.level == size.level
    let isInPages = checks.table.regions[region].host.isInPages
    let isGuestMemfd = slot.flags.contains(.guestMemfd)
    let isWritable = isGuestMemfd || mapsWritable(fault, slot, relaxes: relaxes)
    let isHugetlb = size.level == .l2 ? !isInPages && isHugetlb(slot) : size.isBlock
    let page = HostPage(pageSize, level: size.level, isHugetlb: isHugetlb, isWritable: isWritable)
    // The slot of an inferred history may log though nobody told so: else a fault on a block would keep it.
    let mayLog = slot.hva == nil && fault.isOnBlock && !size.isBlock
    // Blocks are mapped at their own address, and pages of a guest_memfd and of a protected guest at the fault's.
    let isOfUnnamedKernel =
      !isAddressKnown(fault) && (relaxes || !size.isBlock) && !isGuestMemfd && !known.isProtected
      || isGuestMemfd && fault.kind == .permission && !context.hostKnowledge.contains(.guestMemfd)
    let done = memAbort(
      fault, .page(page), mayLog: mayLog, isOvertaken: lostEntry(fault, isBlock: size.isBlock),
      performed: CarriedAbort.Performed(size: size, outcome: outcome))
    touch(fault, in: region, level: size.level, origin)
    let result = done.stage2Result
    let isCertain =
      (result == .success || result == .badAddress) && !fault.decision.isRaced && !isCorrected
      && (!relaxes || size.level != .l2 || isInPages)
      && (!fault.sharesEntry || fault.nextAccess == .progressed && size.level != .l1) && !fault.isEndUnseen
      && (!isGuestMemfd || fault.kind != .permission || context.profile.profile.era.relaxesGuestMemfd)
      && !mayPrecedePart(fault) && !checks.table.mayHaveUnseenRival(fault) && !isOfUnnamedKernel
    emit(
      done, protBasis: known.isProtected ? .derived : protBasis(of: fault, slot),
      basis: isCertain ? max(outcome, size.basis) : .assumed, of: slot.basis, origin)
    if fault.isWrite, slot.isLogging {
      host.grantWrite(to: fault.page.gfn(pageSize), fault)
      if let gfn = done.dirty { host.dirty.mark(gfn, of: slot) }
    }
    if !result.isSuccess { return .again }
    if case .relaxPerms = done.operation {
      return .relaxed(isAssumed: outcome != .derived || isOfUnnamedKernel)
    }
    return .mapped(
      level: size.level,
      isAssumed: max(outcome, size.basis) != .derived || fault.decision.fate == .unclear
        || fault.mayHaveUntoldHoles || isOfUnnamedKernel
        // An unmap that still waits for mmu_lock when the window ends may take what was mapped in it.
        || fault.evidence.unmapOfRegion == .underway,
      isSizeAssumed: size.basis != .derived,
      isReadMapped: isWritable && !fault.isWrite && !isGuestMemfd)
  }

  /// Whether it is known with which address the traced kernel maps the page of a fault.
  @inline(__always)
  private func isAddressKnown(_ fault: SettledFault) -> Bool {
    context.hostKnowledge.contains(.pageAddress) || fault.address == fault.page
  }

  /// Whether what a fault found may have changed before what is replayed: its vCPU entered the guest before that.
  @inline(__always)
  private func mayPrecedePart(_ fault: SettledFault) -> Bool {
    fault.evidence.entry == .start && known.knownFrom != fault.evidence.endEpoch
  }

  @inline(never)
  private mutating func isHugetlb(_ slot: Memslot) -> Bool {
    host.isHugetlb(slot, context.survey.ages, pageSize)
  }

  /// The function of mmu.c that a fault in a slot ends in. What the trace leaves open is handed in.
  ///
  /// - Parameters:
  ///   - faultIn: what the host found behind the page.
  ///   - mayLog: the slot is taken to log dirty pages, whatever is known of it.
  ///   - isRetried: the VMM's memory changed since the host was asked (`mmu_invalidate_retry`).
  ///   - isOvertaken: another vCPU's fault changed the entry first.
  ///   - performed: the mapping that is made.
  @inline(__always)
  mutating func memAbort(
    _ fault: SettledFault, _ faultIn: FaultIn, mayLog: Bool = false, isRetried: Bool = false,
    isOvertaken: Bool = false, performed: CarriedAbort.Performed? = nil
  ) -> Stage2Model.FaultOutcome {
    carried.note(
      .abort(
        CarriedAbort(
          before: kvm.stage2.walk(fault.page), faultIn: faultIn, mayLog: mayLog, isRetried: isRetried,
          isOvertaken: isOvertaken, performed: performed)))
    let abort = Stage2Fault(
      ipa: fault.address, kind: fault.kind, level: fault.level, isWrite: fault.isWrite, isExec: fault.isExec)
    var slot = Stage2Model.Memslot(fault.slot!, pageSize)
    if mayLog { slot.flags.insert(.logDirtyPages) }
    let vcpu = VCPUIndex(fault.vcpu)
    if modelsProtected { return kvm.pkvmMemAbort(abort, slot: slot, vcpu: vcpu, faultIn: faultIn) }
    let seq = isRetried ? kvm.invalidateSeq &- 1 : kvm.invalidateSeq
    if slot.flags.contains(.guestMemfd) {
      return gmemAbort(abort, slot, vcpu, faultIn, seq: seq, next: fault.nextAccess)
    }
    return kvm.userMemAbort(
      abort, slot: slot, vcpu: vcpu, faultIn: faultIn, seq: seq, isOvertaken: isOvertaken)
  }

  /// A fault on a page of a guest_memfd. Whether an older kernel has the fix that lets it relax rights is told by the vCPU: without
  /// it the fault comes back for ever.
  @inline(never)
  private mutating func gmemAbort(
    _ abort: Stage2Fault, _ slot: Stage2Model.Memslot, _ vcpu: VCPUIndex, _ faultIn: FaultIn, seq: UInt64,
    next: NextAccess
  ) -> Stage2Model.FaultOutcome {
    var error = KernelResult.success
    if case .failed = faultIn { error = .badAddress }
    let isKnown = context.options.otherKernel != nil || context.hostKnowledge.contains(.guestMemfd)
    let isFixed = isKnown && kvm.profile.era.relaxesGuestMemfd || next != .again && next != .againAtOnce
    return kvm.gmemAbort(
      abort, slot: slot, vcpu: vcpu, pfn: nil, error: error, relaxesPerms: isFixed, seq: seq)
  }

  /// A translation fault on what was mapped, of a guest_memfd: a hole was punched into the file, which unmaps the frames behind it
  /// and emits no event (`kvm_gmem_punch_hole`). Of its range only this page is known; the model has taken it out.
  @inline(never)
  mutating func emitHole(_ fault: SettledFault, _ origin: StepOrigin) {
    guard fault.kind == .translation, let slot = fault.slot else { return }
    emit(
      .unmap, fault.page, size: pageSize.bytes, result: 0, basis: .assumed, of: slot.basis, origin)
  }

  /// Hands on what a fault asked of the backend.
  @inline(__always)
  mutating func emit(
    _ done: Stage2Model.FaultOutcome, protBasis: Basis, basis: Basis, of slot: Basis, _ origin: StepOrigin
  ) {
    let result = done.stage2Result.rawValue
    if case .map(let ipa, let size, let prot) = done.operation {
      emit(
        .map, ipa, size: size, prot: prot, protBasis: protBasis, result: result, basis: basis, of: slot,
        origin)
    } else if case .relaxPerms(let ipa, let prot) = done.operation {
      emitRelaxation(ipa, prot, protBasis: protBasis, result: result, basis: basis, of: slot, origin)
    }
  }

  @inline(never)
  private mutating func emitRelaxation(
    _ ipa: IPA, _ prot: Stage2Prot, protBasis: Basis, result: Int32, basis: Basis, of slot: Basis,
    _ origin: StepOrigin
  ) {
    emit(
      .relaxPerms, ipa, size: 0, prot: prot, protBasis: protBasis, result: result, basis: basis, of: slot,
      origin)
  }

  /// Takes down what a fault leaves open of the size of its region's mappings: with logging over, a write fault on one of many
  /// pages relaxes that page, or has a block put in the place of all of them. A later fault on a page settles it.
  @inline(__always)
  private mutating func noteOpenSize(_ fault: SettledFault, _ region: RegionIndex, _ size: MappingSize) {
    if fault.walkLevel == .l3, checks.table.regions[region].mayBeBlock, !fault.decision.isRaced {
      checks.table.regions[region].mayBeBlock = false
    }
    if size.basis == .derived { return }
    if size.isBlock {
      noteReplacement(fault.page, region)
    } else if fault.kind == .permission {
      checks.table.regions[region].mayBeBlock = true
    }
  }

  /// A block that is an assumption comes where pages are mapped: if it does not, they are there on.
  @inline(never)
  private mutating func noteReplacement(_ page: IPA, _ region: RegionIndex) {
    var pages = 0
    switch kvm.stage2.walk(page) {
    case .leaf(.l3, _, _), .invalid(.l3): pages = countPages(of: region)
    default: break
    }
    checks.table.replacedPages[region] = pages > 0 ? pages : nil
  }

  /// How many pages of a region are mapped as such.
  mutating func countPages(of region: RegionIndex) -> Int {
    let base = GFN(checks.table.regions.block(of: region) * pageSize.pagesPerPMD)
    return (0..<pageSize.pagesPerPMD).count { isMapped((base + $0).ipa(pageSize)) }
  }

  /// Whether a fault maps a page or a block where the slot allows a block.
  @inline(__always)
  private mutating func mappingSize(
    _ fault: SettledFault, _ slot: Memslot, _ region: RegionIndex
  ) -> MappingSize {
    // pkvm_mem_abort donates pages.
    guard context.profile.profile.mapsBlocks, !known.isProtected else { return .page }
    // Most faults tell nothing new.
    if let size = checks.table.regions[region].host.size, slot.hva != nil, !fault.isOnBlock,
      size.basis == .derived || fault.decision.sizeProof == nil
    {
      return size
    }
    return learnMappingSize(fault, slot, region)
  }

  /// The same where it is open if the fault found that the slot logs, so that it may have mapped a page because of that. Which
  /// of the two it found matters only where the host may have a block.
  @inline(never)
  private mutating func mappingSize(
    ofOpenLogging fault: SettledFault, _ slot: Memslot, _ region: RegionIndex
  ) -> MappingSize {
    guard fault.signs.contains(.blockFits), context.profile.profile.mapsBlocks, !known.isProtected else {
      return .page
    }
    let gfn = fault.page.gfn(pageSize)
    if !fault.decision.mayMapBlock, fault.decision.sizeProof == .page {
      host.learn(MappingSize(level: .l3, basis: .assumed), of: gfn, region, &checks.table.regions, slot)
      return .page
    }
    var size = fault.decision.mayMapBlock ? mappingSize(fault, slot, region) : .page
    let hostSize = host.mappings.size(of: gfn, checks.table.regions[region].host)
    if fault.decision.sizeProof != nil || hostSize == .page { return size }
    size.basis = .assumed
    if fault.isOnBlock { checks.table.regions[region].mayBeSplit = true }
    return size
  }

  /// A fault in a slot that logs met a block, of which it maps a page. The host still has the block, and has it when logging is over,
  /// whether the trace saw it mapped or not.
  @inline(never)
  private mutating func learnBlock(of fault: SettledFault, _ slot: Memslot, _ region: RegionIndex) {
    guard slot.hva != nil, fault.signs.contains(.blockFits), fault.evidence.unmapOfRegion == .none,
      context.profile.profile.mapsBlocks, !known.isProtected
    else { return }
    let size = MappingSize(level: fault.level, basis: .derived)
    host.learn(size, of: fault.page.gfn(pageSize), region, &checks.table.regions, slot)
  }

  @inline(never)
  private mutating func learnMappingSize(
    _ fault: SettledFault, _ slot: Memslot, _ region: RegionIndex
  ) -> MappingSize {
    let gfn = fault.page.gfn(pageSize)
    let size = MappingSize(
      of: fault, isHostAddressKnown: slot.hva != nil,
      known: host.mappings.size(of: gfn, checks.table.regions[region].host),
      mayBePUD: context.mayMapPUD(slot, at: gfn)
    ) { host.tally(slot, areRegionsOfPages: context.areRegionsOfPages) }
    host.learn(size, of: gfn, region, &checks.table.regions, slot)
    return size
  }

  /// Whether the fault maps writable: a write does. Else it does if the host maps what it may write already, unless dirty
  /// pages are logged; a later write fault on the page shows that it did not.
  @inline(__always)
  private mutating func mapsWritable(
    _ fault: SettledFault, _ slot: Memslot, relaxes: Bool
  ) -> Bool {
    if fault.isWrite { return true }
    if slot.isLogging { return false }
    if relaxes { return mayWrite(fault, slot) }
    return !slot.flags.contains(.readOnly) && !fault.decision.isWrittenLater
  }

  /// Whether the host may write to the memory behind a fault that a mapping denied: it could when the mapping had the right, and
  /// cannot have changed that without an unmap. What dirty logging took away a fetch brings back once logging is over.
  @inline(never)
  private mutating func mayWrite(_ fault: SettledFault, _ slot: Memslot) -> Bool {
    let walk = kvm.stage2.walk(fault.page)
    guard case .leaf(_, let prot, _) = walk else { return false }
    return prot.contains(.write)
      || !slot.flags.contains(.readOnly) && checks.table.leaf(fault, walk).contains(.wasWritable)
  }

  /// How the rights that a fault asks for are known. A fault that is no write maps writable if the host can write there,
  /// which no event tells; a slot that is read-only or logs does not, and a page of a guest_memfd always is (`gmem_abort`).
  @inline(__always)
  private func protBasis(of fault: SettledFault, _ slot: Memslot) -> Basis {
    let isWriteKnown =
      fault.isWrite
      || !fault.evidence.mayLackCommit && !slot.flags.isDisjoint(with: [.readOnly, .guestMemfd])
      || slot.isLogging && !fault.evidence.isLoggingOpen
    let isExecuteKnown = fault.isExec || context.hostKnowledge.contains(.dic)
    return isWriteKnown && isExecuteKnown ? .derived : .assumed
  }

  /// Whether a fault lost the race for an entry that another vCPU's fault had to change, too: its vCPU faults in the same way
  /// again, on a page that nobody mapped or a right that nobody granted, and that nobody took meanwhile.
  @inline(__always)
  private mutating func lostEntry(_ fault: SettledFault, isBlock: Bool) -> Bool {
    fault.sharesEntry && lostSharedEntry(fault, isBlock: isBlock)
  }

  @inline(never)
  private mutating func lostSharedEntry(_ fault: SettledFault, isBlock: Bool) -> Bool {
    switch (fault.kind, fault.nextAccess) {
    // That it lasts shows whose the entry is, whatever is mapped there.
    case (.translation, .again), (.translation, .againAtOnce):
      return (!isBlock || fault.lostToLongerFault) && !isMapped(fault.page)
    case (.translation, .unknown):
      return fault.decision.isLeftUnmapped && !isBlock && !isMapped(fault.page)
    // On another CPU the TLB may hold the leaf as it was.
    case (.permission, .againAtOnce):
      guard case .leaf(_, let prot, _) = kvm.stage2.walk(fault.page) else { return false }
      return fault.isWrite ? !prot.contains(.write) : fault.isExec && !prot.isSuperset(of: .execute)
    default: return false
    }
  }

  /// A translation fault on what was mapped, in a slot whose host address is not known: an unmap that could not be
  /// joined with the slot came before. Of its range only this page is known.
  @inline(never)
  private mutating func proveUnmap(_ fault: SettledFault, _ origin: StepOrigin) {
    guard fault.kind == .translation, !fault.decision.isRaced, isMapped(fault.page) else { return }
    let gfn = fault.page.gfn(pageSize)
    carried.note(.unmapped(gfn))
    unmapProven(gfn, origin)
  }

  /// An unmap of one page of which a fault tells.
  mutating func unmapProven(_ gfn: GFN, _ origin: StepOrigin) {
    kvm.kvmUnmapGFNRange(gfn..<gfn + 1, mayBlock: true)
    emitRangeCalls(basis: .assumed, origin)
  }
}

extension HostPage {
  /// What is taken to lie behind a faulting page.
  @inline(__always)
  fileprivate init(_ pageSize: PageSize, level: TranslationLevel, isHugetlb: Bool, isWritable: Bool) {
    self.init(
      isWritable: isWritable, vmaShift: isHugetlb ? pageSize.levelShift(level) : pageSize.shift,
      userMappingBytes: level == .l3 ? pageSize.bytes : pageSize.granule(level))
  }
}
