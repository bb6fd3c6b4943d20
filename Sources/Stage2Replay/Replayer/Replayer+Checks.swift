internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Each fault is held against the model before its own operation: against a state that existed between the vCPU's last
// kvm_entry and the fault. Where they differ for no known reason, the model takes the hardware's word and goes on.

extension Replayer where Backend: ~Copyable {
  /// Holds a fault against the model.
  ///
  /// - Returns: how a broken rule was judged, and whether the leaf of the fault was changed for it.
  mutating func check(
    _ fault: FaultRecord, _ record: PendingRecord, _ vm: GuestVM<Backend>
  ) -> CheckResult {
    // What the trace does not tell the slots of is not replayed, so there is nothing to compare with.
    if fault.slot == nil, vm.wasRunning { return CheckResult() }
    if isAccessToSlot(fault) {
      holdBack(fault, record)
      return CheckResult()
    }
    if !vm.heldBack.isEmpty, let slot = fault.slot { confirmHeldBack(before: fault, slot, record.vm) }
    if fault.evidence.region >= 0, vm.knownFrom != fault.evidence.endEpoch {
      vm.regions.enter(epoch: fault.evidence.endEpoch, fault.evidence.region)
    }
    switch fault.kind {
    case .translation: return checkTranslation(fault, record, vm)
    case .permission, .accessFlag: return checkLeaf(fault, record, vm)
    default: return CheckResult()
    }
  }

  /// A fault whose slot came into force after it: its region is looked up now.
  func adopted(_ fault: FaultRecord, _ vm: GuestVM<Backend>) -> FaultRecord {
    var fault = fault
    fault.evidence.region = vm.regions.insert(fault.page.gfn(profile.pageSize))
    fault.evidence.isAdopted = true
    return fault
  }

  // MARK: Translation faults

  private mutating func checkTranslation(
    _ fault: FaultRecord, _ record: PendingRecord, _ vm: GuestVM<Backend>
  ) -> CheckResult {
    let walk = vm.backend.walk(fault.page)
    let level = fault.isStage1Walk ? nil : fault.level
    var judgement: Judgement?
    var isCorrected = false
    if case .invalid(let modelled) = walk, level == nil || level == modelled {
      // The common case.
    } else {
      let check = translationCheck(fault, walk, level, record.vm)
      judgement = check.judgement
      if judgement?.rule == .tableNeedsMapping, let level {
        let table = tableKey(level, fault.page)
        if vm.untracedTables.contains(table) {
          judgement = nil
        } else if judgement?.exception != .race, judgement?.exception != .pendingNotifier {
          vm.untracedTables.insert(table)
        }
      }
    }
    if let judgement {
      log(judgement, fault, record, walk, vm)
      if judgement.verdict != .explained || judgement.exception == .untracedChange {
        takeWord(ofTranslation: fault, walk, record.vm)
        if case .leaf = walk { isCorrected = true }
      }
    }
    // A table of level 3 holds pages.
    if level == .l3, judgement == nil, fault.evidence.region >= 0, fault.evidence.peers.isEmpty {
      vm.regions[fault.evidence.region].mayBeBlock = false
    }
    if vm.knownFrom != fault.evidence.endEpoch { learnEmpty(fault, level, vm) }
    return CheckResult(verdict: judgement?.verdict, isCorrected: isCorrected)
  }

  private func translationCheck(
    _ fault: FaultRecord, _ walk: Stage2Walk, _ level: TranslationLevel?, _ vm: Int
  ) -> TranslationCheck {
    var window = windowEvidence(fault, walk, vms[vm])
    let startLevel = profile.isPKVM ? profile.geometry.startLevel : vms[vm].startLevel
    let isUnexpected: Bool
    if case .invalid(let modelled) = walk, let level {
      isUnexpected = level > modelled
      if !isUnexpected { window.isTableRecent = isTableRecent(above: level, fault, vms[vm]) }
    } else {
      isUnexpected = false
    }
    window.knowledge =
      switch (walk, level) {
      case (.invalid, let level?) where isUnexpected: knowledge(ofTable: level, fault, vms[vm])
      case (.invalid, let level?): knowledge(ofLeavesBelow: level, fault, vms[vm])
      default: knowledge(ofLeaf: fault, walk, vms[vm])
      }
    window.isUntraced =
      fault.evidence.isAdopted || fault.slot?.flags.contains(.guestMemfd) == true
      || vms[vm].removals.contains { $0.since < fault.end }
    return TranslationCheck(
      walk: walk, level: level, startLevel: startLevel, isProtected: profile.profile.isProtected,
      mayHaveUntracedTable: isUnexpected && !profile.isPKVM
        && level.map { hasRoom(around: fault.page, $0, vm) } ?? false,
      window: window)
  }

  /// Whether memory that no slot holds shares the table of `level` with an address: there the kernel may have mapped
  /// something itself.
  private func hasRoom(around page: IPA, _ level: TranslationLevel, _ vm: Int) -> Bool {
    let pageSize = profile.pageSize
    let bytes = pageSize.granule(TranslationLevel(level.rawValue - 1))
    var gfn = page.alignedDown(to: bytes).gfn(pageSize)
    let end = gfn + (bytes >> pageSize.shift)
    while gfn < end {
      guard let slot = vms[vm].slots.slot(gfn) else { return true }
      gfn = slot.end
    }
    return false
  }

  /// Whether the table below the entry of `level` appeared in the fault's window.
  private func isTableRecent(
    above level: TranslationLevel, _ fault: FaultRecord, _ vm: GuestVM<Backend>
  ) -> Bool {
    if level == .l2 {
      guard fault.evidence.region >= 0 else { return false }
      return vm.regions[fault.evidence.region].tableBorn > fault.evidence.entry
    }
    let below = TranslationLevel(level.rawValue + 1)
    return vm.tableBirths[tableKey(below, fault.page)].map { $0 > fault.evidence.entry } ?? false
  }

  // MARK: Permission and access flag faults

  private mutating func checkLeaf(
    _ fault: FaultRecord, _ record: PendingRecord, _ vm: GuestVM<Backend>
  ) -> CheckResult {
    let pageSize = profile.pageSize
    let walk = vm.backend.walk(fault.page)
    let level = fault.isStage1Walk ? nil : fault.level
    var judgement: Judgement?
    if case .leaf(let modelled, _, _) = walk, level == nil || (level == modelled && level == .l3),
      fault.slot != nil,
      !profile.profile.isProtected, fault.kind == .permission || !profile.hasHardwareAccessFlag
    {
      // The common case: a page is where the fault says.
    } else {
      var window = windowEvidence(fault, walk, vm)
      window.knowledge = knowledge(ofLeaf: fault, walk, vm)
      let gfn = fault.page.gfn(pageSize)
      let granule = level.map { pageSize.granule($0) } ?? pageSize.bytes
      let check = LeafCheck(
        kind: fault.kind, walk: walk, level: level, blockLevel: blockLevel, isPKVM: profile.isPKVM,
        isProtected: profile.profile.isProtected, hasHardwareAccessFlag: profile.hasHardwareAccessFlag,
        isInSlot: fault.slot != nil || vm.wasRunning ? fault.slot.map { _ in true } : false,
        slotHoldsBlock: fault.slot?.supportsBlock(of: granule, at: gfn, pageSize) ?? false,
        isGuestMemfd: fault.slot?.flags.contains(.guestMemfd) ?? false,
        lastRefusal: lastRefusal(of: fault, vm), window: window)
      judgement = check.judgement
    }
    if let judgement {
      log(judgement, fault, record, walk, vm)
      let isCorrected = judgement.verdict != .explained && fault.slot != nil
      if isCorrected { takeWord(ofLeaf: fault, vm) }
      setKnowledge(fault, vm.backend.walk(fault.page), vm) { $0 = .isEstablished }
      return CheckResult(verdict: judgement.verdict, isCorrected: isCorrected)
    }
    guard case .leaf(_, let prot, let isYoung) = walk else { return CheckResult() }
    return checkRights(fault, record, walk, prot, isYoung, vm)
  }

  private mutating func checkRights(
    _ fault: FaultRecord, _ record: PendingRecord, _ walk: Stage2Walk, _ prot: Stage2Prot, _ isYoung: Bool,
    _ vm: GuestVM<Backend>
  ) -> CheckResult {
    // What it lacks is what the fault is about.
    let lacksRight =
      fault.kind == .permission && isYoung
      && (fault.isWrite ? !prot.contains(.write) : fault.isExec && !prot.isSuperset(of: .execute))
    let isOld = fault.kind == .accessFlag && !isYoung
    defer {
      setKnowledge(fault, walk, vm) { $0 = $0.subtracting(.isAssumed).union(.isEstablished) }
      if !fault.isStage1Walk { vm.regions[fault.evidence.region].mayBeBlock = false }
    }
    if lacksRight || isOld { return CheckResult() }
    var window = windowEvidence(fault, walk, vm)
    window.knowledge = knowledge(ofLeaf: fault, walk, vm)
    let region = vm.regions[fault.evidence.region]
    let check = RightsCheck(
      kind: fault.kind, isWrite: fault.isWrite, isExec: fault.isExec, prot: prot, isYoung: isYoung,
      hasHardwareAccessFlag: profile.hasHardwareAccessFlag, leaf: leafKnowledge(fault, walk, vm),
      grant: grant(fault, walk, vm), isLogging: fault.slot?.isLogging ?? false,
      isMadeYoung: region.madeYoung > fault.evidence.entry, window: window)
    if let accessFlag = check.accessFlag {
      log(accessFlag, fault, record, walk, vm)
      if accessFlag.verdict == .unexplained { return CheckResult(verdict: .unexplained) }
    }
    guard let rights = check.rights else { return CheckResult() }
    log(rights, fault, record, walk, vm)
    return CheckResult(verdict: rights.verdict)
  }

  /// The highest level at which this path maps anything.
  private var blockLevel: TranslationLevel {
    profile.isPKVM ? (profile.profile.mapsBlocks ? .l2 : .l3) : profile.geometry.minBlockLevel
  }

  /// What the last fault on the page came to, if that was nothing, for a reason that this one would contradict.
  private func lastRefusal(of fault: FaultRecord, _ vm: GuestVM<Backend>) -> LeafCheck.Refusal? {
    guard let refused = vm.lastRefused, refused.page == fault.page else { return nil }
    return refused.refusal
  }

  private func grant(_ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>) -> RightsCheck.Grant? {
    guard let grant = vm.grants[grantKey(fault, walk)] else { return nil }
    let isBefore = isLeafRecent(fault, walk, vm, since: grant.sequence)
    if isBefore { return nil }
    return RightsCheck.Grant(
      isRecent: grant.sequence > fault.evidence.entry, isOwn: grant.tid == fault.tid,
      mayBeStale: grant.cpu == nil || grant.cpu != fault.evidence.ranOn)
  }

  // MARK: Evidence

  private func windowEvidence(
    _ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>
  ) -> WindowEvidence {
    let evidence = fault.evidence
    var window = WindowEvidence()
    window.unmapOfRegion = evidence.unmapOfRegion
    window.unmapOfVM = evidence.unmapOfVM
    window.peers = evidence.peers
    window.isLeafRecent = isLeafRecent(fault, walk, vm, since: evidence.entry)
    window.isResized = evidence.peers.contains(.mayResize)
    if evidence.region >= 0, vm.regions[evidence.region].resized > evidence.entry { window.isResized = true }
    return window
  }

  private func isLeafRecent(
    _ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>, since position: UInt64
  ) -> Bool {
    guard case .leaf(let level, _, _) = walk, fault.evidence.region >= 0 else { return false }
    if level < .l3 { return vm.regions[fault.evidence.region].blockBorn > position }
    return pageBirths.mayBe(pageKey(fault.page.gfn(profile.pageSize), vm), after: position)
  }

  private func pageKey(_ gfn: GFN, _ vm: GuestVM<Backend>) -> UInt64 { UInt64(vm.id) << 40 | gfn.rawValue }

  /// A table of `level`, or for its knowledge the span of memory below it: level and number in one.
  private func tableKey(_ level: TranslationLevel, _ page: IPA) -> UInt64 {
    UInt64(level.rawValue) << 56
      | page.rawValue >> profile.pageSize.levelShift(TranslationLevel(level.rawValue - 1))
  }

  private func grantKey(_ fault: FaultRecord, _ walk: Stage2Walk) -> UInt64 {
    var gfn = fault.page.gfn(profile.pageSize).rawValue
    if case .leaf(let level, _, _) = walk, level < .l3 { gfn &= ~(profile.pageSize.pagesPerPMD - 1) }
    return gfn << 1 | (fault.isWrite ? 1 : 0)
  }

  // MARK: What is known

  private func leafKnowledge(
    _ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>
  ) -> LeafKnowledge {
    guard fault.evidence.region >= 0 else { return [] }
    if case .leaf(let level, _, _) = walk, level < .l3 {
      return vm.regions[fault.evidence.region].blockKnowledge
    }
    return vm.regions.page(fault.page.gfn(profile.pageSize), fault.evidence.region)
  }

  /// Changes what is known of the page of a fault, or of the block that maps it.
  private func setKnowledge(
    _ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>, _ body: (inout LeafKnowledge) -> Void
  ) {
    guard fault.evidence.region >= 0 else { return }
    if case .leaf(let level, _, _) = walk, level < .l3 {
      body(&vm.regions[fault.evidence.region].blockKnowledge)
    }
    let gfn = fault.page.gfn(profile.pageSize)
    var knowledge = vm.regions.page(gfn, fault.evidence.region)
    body(&knowledge)
    vm.regions.setPage(gfn, fault.evidence.region, knowledge)
  }

  /// Why the window of a fault says nothing of the table, nil where it does.
  private func reasonUnknown(_ fault: FaultRecord) -> DivergenceException? {
    let evidence = fault.evidence
    return evidence.entryEpoch != evidence.endEpoch || evidence.endEpoch & 1 != 0 ? .lostEvents : nil
  }

  private func reasonUnknown(in epoch: Int32, _ vm: GuestVM<Backend>) -> DivergenceException {
    epoch == vm.firstEpoch ? .begunMidLife : .lostEvents
  }

  /// Whether all of a region is known in an epoch: the VM began in it, or a fault showed that there was nothing.
  private func isWholeKnown(_ fault: FaultRecord, _ vm: GuestVM<Backend>) -> Bool {
    let epoch = fault.evidence.endEpoch
    if vm.knownFrom == epoch { return true }
    if fault.evidence.region >= 0, vm.regions[fault.evidence.region].emptyIn == epoch { return true }
    return isSpanKnown(fault, vm)
  }

  private func isSpanKnown(_ fault: FaultRecord, _ vm: GuestVM<Backend>) -> Bool {
    let epoch = fault.evidence.endEpoch
    return vm.knownFrom == epoch || vm.emptySpans[tableKey(.l2, fault.page)] == epoch
      || vm.emptySpans[tableKey(.l1, fault.page)] == epoch
  }

  /// How the leaf of a fault is known, or that there is none.
  private func knowledge(
    ofLeaf fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>
  ) -> StateKnowledge {
    if let reason = reasonUnknown(fault) { return .unknown(reason) }
    let leaf = leafKnowledge(fault, walk, vm)
    if fault.evidence.region >= 0, vm.regions[fault.evidence.region].mayBeBlock { return .assumed }
    if !isWholeKnown(fault, vm), !leaf.contains(.isEstablished) {
      return .unknown(reasonUnknown(in: fault.evidence.endEpoch, vm))
    }
    guard case .invalid(let stop) = walk else { return leaf.contains(.isAssumed) ? .assumed : .known }
    if fault.evidence.region >= 0, vm.regions[fault.evidence.region].mayHoldMore { return .assumed }
    // A block in place of pages, none of which is certain to be one.
    if !fault.isStage1Walk, fault.level == .l2, stop == .l3,
      knowledge(ofLeavesBelow: .l2, fault, vm) == .assumed
    {
      return .assumed
    }
    return .known
  }

  /// How it is known that there is no table of `level` on the way to a fault.
  private func knowledge(
    ofTable level: TranslationLevel, _ fault: FaultRecord, _ vm: GuestVM<Backend>
  ) -> StateKnowledge {
    if let reason = reasonUnknown(fault) { return .unknown(reason) }
    let isKnown = level == .l3 ? isWholeKnown(fault, vm) : isSpanKnown(fault, vm)
    if !isKnown { return .unknown(reasonUnknown(in: fault.evidence.endEpoch, vm)) }
    let mayHoldMore =
      level == .l3
      ? fault.evidence.region >= 0 && vm.regions[fault.evidence.region].mayHoldMore
      : vm.regions.contains(in: span(level, fault.page)) { $0.mayHoldMore }
    return mayHoldMore ? .assumed : .known
  }

  /// How the leaves are known below the entry of `level` at which a fault stopped.
  private func knowledge(
    ofLeavesBelow level: TranslationLevel, _ fault: FaultRecord, _ vm: GuestVM<Backend>
  ) -> StateKnowledge {
    if let reason = reasonUnknown(fault) { return .unknown(reason) }
    let isKnown = isSpanKnown(fault, vm)
    let epoch = fault.evidence.endEpoch
    let pageSize = profile.pageSize
    var isAssumed = false
    let below = TranslationLevel(level.rawValue + 1)
    for position in vm.regions.positions(in: span(below, fault.page)) {
      let region = vm.regions[position]
      let isWhole = isKnown || region.emptyIn == epoch
      let first = region.block * pageSize.pagesPerPMD
      for (offset, page) in vm.regions.pages(position).enumerated() {
        guard case .leaf(let leafLevel, _, _) = vm.backend.walk(GFN(first + UInt64(offset)).ipa(pageSize))
        else {
          continue
        }
        let leaf = leafLevel < .l3 ? region.blockKnowledge : page
        guard isWhole || (region.epoch == epoch && leaf.contains(.isEstablished)) else { continue }
        if !leaf.contains(.isAssumed), !region.mayBeBlock { return .known }
        isAssumed = true
        if leafLevel < .l3 { break }
      }
    }
    return isAssumed ? .assumed : .unknown(reasonUnknown(in: epoch, vm))
  }

  /// The regions below a table of `level`.
  private func span(_ level: TranslationLevel, _ page: IPA) -> ClosedRange<UInt64> {
    let shift =
      profile.pageSize.levelShift(TranslationLevel(level.rawValue - 1)) - profile.pageSize.levelShift(.l2)
    let first = (page.rawValue >> profile.pageSize.levelShift(.l2)) & ~((1 << shift) - 1)
    return first...first + (1 << shift) - 1
  }

  /// A translation fault shows that everything below the entry at which it stopped was unmapped.
  private func learnEmpty(_ fault: FaultRecord, _ level: TranslationLevel?, _ vm: GuestVM<Backend>) {
    guard reasonUnknown(fault) == nil else { return }
    let epoch = fault.evidence.endEpoch
    setKnowledge(fault, .invalid(level: .l3), vm) { $0 = .isEstablished }
    guard let level, level < .l3 else { return }
    if fault.evidence.region >= 0 { vm.regions[fault.evidence.region].emptyIn = epoch }
    if level < .l2 { vm.emptySpans[tableKey(.l2, fault.page)] = epoch }
    if level < .l1 { vm.emptySpans[tableKey(.l1, fault.page)] = epoch }
  }

  // MARK: Taking the hardware's word

  private mutating func takeWord(ofTranslation fault: FaultRecord, _ walk: Stage2Walk, _ vm: Int) {
    let pageSize = profile.pageSize
    var level = fault.isStage1Walk ? TranslationLevel.l3 : fault.level
    switch walk {
    case .leaf(let leaf, _, _): level = max(min(level, leaf), profile.geometry.startLevel)
    case .invalid(let modelled):
      guard !fault.isStage1Walk, level < modelled else { return }
      level = max(level, profile.geometry.startLevel)
    }
    let bytes = pageSize.granule(level)
    let start = fault.page.alignedDown(to: bytes)
    let limit = UInt64(1) << UInt64(profile.ipaBits)
    guard start.rawValue < limit else { return }
    _ = vms[vm].backend.unmap(start, size: min(bytes, limit - start.rawValue))
  }

  /// Maps what a permission or access flag fault shows to be mapped, with no right that is not known: what a leaf
  /// lacks in the model contradicts no event.
  private func takeWord(ofLeaf fault: FaultRecord, _ vm: GuestVM<Backend>) {
    let pageSize = profile.pageSize
    guard let level = fault.isStage1Walk ? .l3 : Optional(fault.level), level >= .l2 else { return }
    let bytes = level == .l2 && profile.profile.mapsBlocks ? pageSize.pmdBytes : pageSize.bytes
    let address = fault.page.alignedDown(to: bytes)
    if case .leaf = vm.backend.walk(fault.page), level == .l3 {
      // Of the block's other pages nothing is known now.
      if fault.evidence.region >= 0 { vm.regions[fault.evidence.region].mayHoldMore = true }
    }
    vm.backend.topUpMemcache(vcpu: VCPUIndex(fault.vcpu), pages: profile.minPages)
    _ = vm.backend.unmap(address, size: bytes)
    let result = vm.backend.map(
      address, size: bytes, pfn: nil, prot: .read, vcpu: VCPUIndex(fault.vcpu))
    if result.isSuccess, fault.kind == .accessFlag {
      _ = vm.backend.testClearYoung(address, size: bytes, markOld: true)
    }
  }

  // MARK: Accesses to slots

  /// kvm_mmio where a slot is: none is known to be there, or the slot is on its way out.
  private func isAccessToSlot(_ fault: FaultRecord) -> Bool {
    guard fault.sawMMIO, let slot = fault.slot else { return false }
    return !(fault.isWrite && slot.flags.contains(.readOnly))
  }

  /// A slot that is being deleted or moved is out of force a while before its commit, and the trace tells the commit
  /// alone: whether it comes is waited for.
  private mutating func holdBack(_ fault: FaultRecord, _ record: PendingRecord) {
    let vm = vms[record.vm]
    if fault.evidence.isSlotRemoved || vm.removals.contains(where: { $0.covers(fault, profile.pageSize) }) {
      log(.explained(.mmioLiesOutsideSlots, .untracedChange), fault, record, nil, vm)
    } else if vm.heldBack.count < GuestVM<Backend>.heldBackMax {
      vm.heldBack.append(HeldBackFault(fault: fault, record: record))
    } else {
      log(.unknown(.mmioLiesOutsideSlots), fault, record, nil, vm)
    }
  }

  /// The slot is still in force, as another fault shows: nothing was deleting it.
  private mutating func confirmHeldBack(before fault: FaultRecord, _ slot: Memslot, _ vm: Int) {
    guard !fault.sawMMIO else { return }
    let vm = vms[vm]
    let held = vm.heldBack
    vm.heldBack.removeAll { $0.fault.slot?.base == slot.base && fault.evidence.entry >= $0.fault.end }
    for entry in held where entry.fault.slot?.base == slot.base && fault.evidence.entry >= entry.fault.end {
      log(.unexplained(.mmioLiesOutsideSlots), entry.fault, entry.record, nil, vm)
    }
  }

  /// A slot is gone, which accounts for accesses to it since its removal began.
  mutating func settleHeldBack(_ record: PendingRecord) {
    let vm = vms[record.vm]
    let pageSize = profile.pageSize
    guard let removal = vm.removals.first(where: { $0.sequence == record.sequence }) else { return }
    for entry in vm.heldBack where removal.covers(entry.fault, pageSize) {
      log(.explained(.mmioLiesOutsideSlots, .untracedChange), entry.fault, entry.record, nil, vm)
    }
    vm.heldBack.removeAll { removal.covers($0.fault, pageSize) }
    vm.removals.removeAll { $0.sequence <= record.sequence }
  }

  // MARK: The end

  /// What runs of faults led nowhere, and what never was settled.
  mutating func finishChecks() {
    for vm in vms {
      for vcpu in vm.progress.indices {
        if let run = vm.progress[vcpu].progress.end(), let last = vm.progress[vcpu].last {
          log(run, last, vm.id)
        }
      }
      for entry in vm.heldBack {
        log(.unknown(.mmioLiesOutsideSlots, .untracedChange), entry.fault, entry.record, nil, vm)
      }
    }
  }

  /// Notes how a fault ended, for rule L1.
  private mutating func noteProgress(
    _ fault: FaultRecord, _ record: PendingRecord, _ vm: GuestVM<Backend>, contradicts: Bool, isRetried: Bool
  ) {
    if !contradicts, !isRetried, fault.vcpu >= vm.progress.count || vm.progress[fault.vcpu].last == nil {
      return
    }
    while vm.progress.count <= fault.vcpu { vm.progress.append(VCPUProgress()) }
    let run = vm.progress[fault.vcpu].progress.note(
      fault.page, fault.kind, isWrite: fault.isWrite, isExec: fault.isExec, contradicts: contradicts,
      isRetried: isRetried)
    if let run, let last = vm.progress[fault.vcpu].last { log(run, last, record.vm) }
    vm.progress[fault.vcpu].last =
      contradicts || isRetried
      ? FaultPlace(time: record.time, cpu: fault.cpu, tid: fault.tid, region: fault.evidence.region) : nil
  }

  private mutating func log(_ run: FaultProgress.Run, _ last: FaultPlace, _ vm: Int) {
    let regions = vms[vm].regions
    divergences.note(run.judgement, vm: vm, block: run.page.rawValue / profile.pageSize.pmdBytes) {
      Divergence(
        rule: run.judgement.rule, verdict: run.judgement.verdict, exception: run.judgement.exception,
        time: last.time,
        cpu: last.cpu, tid: last.tid, vm: vm, ipa: run.page, expected: run.judgement.rule.statement,
        observed: "\(run.faults) faults in a row on one page, for one reason", basis: .derived, count: 1,
        state: nil,
        recentEvents: last.region >= 0 ? regions.recentEvents(last.region) : [])
    }
  }

  private mutating func log(
    _ judgement: Judgement, _ fault: FaultRecord, _ record: PendingRecord, _ walk: Stage2Walk?,
    _ vm: GuestVM<Backend>
  ) {
    divergences.note(
      judgement, vm: record.vm, block: fault.page.rawValue / profile.pageSize.pmdBytes
    ) {
      Divergence(
        rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, time: record.time,
        cpu: fault.cpu, tid: fault.tid, vm: record.vm, ipa: fault.page,
        expected: DivergenceWords.expectation(judgement.rule, walk), observed: DivergenceWords.fault(fault),
        basis: judgement.verdict == .unknown ? .assumed : .derived, count: 1, state: walk,
        recentEvents: fault.evidence.region >= 0 ? vm.regions.recentEvents(fault.evidence.region) : [])
    }
  }

  // MARK: After the operation

  /// Notes what a range operation did, for the regions that it touches.
  mutating func remember(_ kind: RegionEvent.Kind, _ frames: FrameRange, _ record: PendingRecord) {
    let event = RegionEvent(
      time: record.time, ipa: frames.start.ipa(profile.pageSize), pages: UInt32(clamping: frames.count),
      tid: record.tid, cpu: record.cpu, kind: kind, level: nil, access: .none, effect: .asked)
    vms[record.vm].regions.forEach(in: frames) { position, regions in regions.append(event, to: position) }
  }

  /// A fault was applied.
  mutating func note(
    _ effect: FaultEffect, of fault: FaultRecord, _ before: Stage2Walk, _ record: PendingRecord,
    _ vm: GuestVM<Backend>, contradicts: Bool, isRetried: Bool
  ) {
    noteProgress(fault, record, vm, contradicts: contradicts, isRetried: isRetried)
    guard fault.evidence.region >= 0 else { return }
    vm.regions.append(RegionEvent(fault, record, effect), to: fault.evidence.region)
    note(effect, of: fault, before, vm)
  }

  /// What a fault did to the leaf, and how that is known.
  private mutating func note(
    _ effect: FaultEffect, of fault: FaultRecord, _ before: Stage2Walk, _ vm: GuestVM<Backend>
  ) {
    let pageSize = profile.pageSize
    let gfn = fault.page.gfn(pageSize)
    let position = fault.evidence.region
    let isEstablished: LeafKnowledge = vm.knownFrom == fault.evidence.endEpoch ? [] : .isEstablished
    switch effect {
    case .again: break
    case .nothing(let isAssumed, let refusal):
      if isAssumed { vm.regions[position].mayHoldMore = true }
      vm.lastRefused = refusal.map { RefusedFault(page: fault.page, refusal: $0) }
    case .madeYoung:
      vm.regions[position].madeYoung = fault.end
      let mayBeOld: LeafKnowledge = fault.evidence.mayBeAged ? .mayBeOld : []
      setKnowledge(fault, before, vm) { $0 = $0.subtracting(.mayBeOld).union(mayBeOld).union(.wasMadeYoung) }
    case .relaxed:
      let stayed = fault.evidence.ranOn == fault.cpu && fault.evidence.endedOn == fault.cpu
      vm.grants[grantKey(fault, before)] = RightGrant(
        tid: fault.tid, cpu: stayed ? fault.cpu : nil, sequence: fault.end)
      if fault.isWrite { setKnowledge(fault, before, vm) { $0.subtract([.isReadMapped, .mayBeProtected]) } }
    case .mapped(let isBlock, let isAssumed, let isReadMapped):
      var knowledge = isEstablished
      if isAssumed { knowledge.insert(.isAssumed) }
      if isReadMapped { knowledge.insert(.isReadMapped) }
      if fault.evidence.mayBeAged { knowledge.insert(.mayBeOld) }
      let hadTable: Bool
      switch before {
      case .leaf(let level, _, _):
        hadTable = level == .l3
        if isBlock == hadTable { vm.regions[position].resized = fault.end }
      case .invalid(let level):
        hadTable = level == .l3
        if isBlock, hadTable { vm.regions[position].resized = fault.end }
        if level < .l3 { vm.regions[position].mayBeBlock = false }
        if level < .l2 { vm.tableBirths[tableKey(.l2, fault.page)] = fault.end }
        if level < .l1 { vm.tableBirths[tableKey(.l1, fault.page)] = fault.end }
      }
      if isAssumed, hadTable { vm.regions[position].mayBeBlock = true }
      if isBlock {
        vm.regions[position].blockBorn = fault.end
        vm.regions[position].blockKnowledge = knowledge
      } else {
        if !hadTable { vm.regions[position].tableBorn = fault.end }
        pageBirths.note(pageKey(gfn, vm), at: fault.end)
        vm.regions.setPage(gfn, position, knowledge)
      }
    }
  }
}
