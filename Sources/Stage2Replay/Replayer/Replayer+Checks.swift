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
    // Nor are unmaps of a slot whose host address is not known: a fault proves them.
    if let slot = fault.slot, slot.hva == nil { return CheckResult() }
    if isAccessToSlot(fault) {
      holdBack(fault, record)
      return CheckResult()
    }
    if fault.page.rawValue >> UInt64(profile.ipaBits) != 0 {
      // Such a fault ends before its tracepoint.
      log(.unexplained(.leafLiesInSlot), fault, record, nil, vm)
      return CheckResult(verdict: .unexplained)
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
    let level = fault.walkLevel
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
    return CheckResult(
      verdict: judgement?.verdict, isCorrected: isCorrected, walk: judgement == nil ? walk : nil)
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
      || vms[vm].removals.contains { isRemoving($0, fault, walk, level) }
    return TranslationCheck(
      walk: walk, level: level, startLevel: startLevel, isProtected: vms[vm].isProtected,
      mayHaveUntracedTable: isUnexpected && !profile.isPKVM
        && level.map { hasRoom(around: fault.page, $0, vm) } ?? false,
      window: window, hasFailed: fault.failed)
  }

  /// Whether a slot's removal accounts for a translation fault: it takes away the leaf, or for a fault that stops above a
  /// table, memory below that table.
  private func isRemoving(
    _ removal: SlotRemoval, _ fault: FaultRecord, _ walk: Stage2Walk, _ level: TranslationLevel?
  ) -> Bool {
    if removal.covers(fault, profile.pageSize) { return true }
    guard case .invalid = walk, let level, level < .l3, removal.since < fault.end else { return false }
    let blocks = span(TranslationLevel(level.rawValue + 1), fault.page)
    return timelines.block(removal.frames.start) <= blocks.upperBound
      && blocks.lowerBound <= timelines.block(GFN(removal.frames.end.rawValue - 1))
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
      !vm.isProtected, fault.kind == .permission || !profile.hasHardwareAccessFlag
    {
      // The common case: a page is where the fault says.
    } else {
      var window = windowEvidence(fault, walk, vm)
      window.knowledge = knowledge(ofLeaf: fault, walk, vm)
      let gfn = fault.page.gfn(pageSize)
      let granule = level.map { pageSize.granule($0) } ?? pageSize.bytes
      let check = LeafCheck(
        kind: fault.kind, walk: walk, level: level, blockLevel: vm.isProtected ? .l3 : blockLevel,
        isPKVM: profile.isPKVM,
        isProtected: vm.isProtected, hasHardwareAccessFlag: profile.hasHardwareAccessFlag,
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
    if lacksRight || isOld { return CheckResult(walk: walk) }
    var window = windowEvidence(fault, walk, vm)
    window.knowledge = knowledge(ofLeaf: fault, walk, vm)
    // Other vCPUs' faults on other pages make those young, not this one.
    if case .leaf(.l3, _, _) = walk, !window.peers.contains(.onPage) { window.peers.remove(.inRegion) }
    let check = RightsCheck(
      kind: fault.kind, isWrite: fault.isWrite, isExec: fault.isExec, prot: prot, isYoung: isYoung,
      hasHardwareAccessFlag: profile.hasHardwareAccessFlag, leaf: leafKnowledge(fault, walk, vm),
      grant: grant(fault, walk, vm), isLogging: fault.slot?.isLogging ?? false,
      isMadeYoung: isMadeYoung(fault, walk, vm), window: window)
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
}
