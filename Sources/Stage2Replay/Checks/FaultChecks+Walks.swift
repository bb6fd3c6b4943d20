internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// A fault against what a walk of its address finds in the model.

extension FaultChecks {
  // MARK: Translation faults

  mutating func checkTranslation<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, at time: Nanoseconds, _ vm: KnownVM, _ backend: inout Backend
  ) -> CheckResult {
    let walk = backend.walk(fault.page)
    let level = fault.walkLevel
    guard case .invalid(let modelled) = walk, level == nil || level == modelled else {
      return checkTranslation(fault, at: time, walk, level, vm, &backend)
    }
    noteTable(fault, level)
    if vm.knownFrom != fault.evidence.endEpoch, fault.reasonUnknown == nil { table.learnEmpty(fault, level) }
    return CheckResult(walk: walk)
  }

  /// A translation fault where the model has a mapping, or stops at another level.
  @inline(never)
  private mutating func checkTranslation<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, at time: Nanoseconds, _ walk: Stage2Walk, _ level: TranslationLevel?,
    _ vm: KnownVM, _ backend: inout Backend
  ) -> CheckResult {
    let check = translationCheck(fault, walk, level, vm, &backend)
    var judgement = check.judgement
    var isCorrected = false
    if judgement?.rule == .tableNeedsMapping, let level {
      if table.hasUntracedTable(level, fault.page) {
        judgement = nil
      } else if judgement?.exception != .race, judgement?.exception != .pendingNotifier {
        table.noteUntracedTable(level, fault.page)
      }
    }
    if let judgement {
      put(judgement, fault.window, at: time, walk, vm.id)
      let showsTable = judgement.verdict != .explained || judgement.exception == .untracedChange
      if showsTable, !(judgement.verdict == .unknown && check.mayPrecedeTable) {
        resyncModel(toTranslation: fault, walk, vm, &backend)
        if case .leaf = walk { isCorrected = true }
      }
    }
    if judgement == nil { noteTable(fault, level) }
    if vm.knownFrom != fault.evidence.endEpoch, fault.reasonUnknown == nil { table.learnEmpty(fault, level) }
    return CheckResult(
      verdict: judgement?.verdict, isCorrected: isCorrected, walk: judgement == nil ? walk : nil)
  }

  /// A translation fault that stopped at `level`, as the model does: a table of level 3 holds pages.
  @inline(__always)
  mutating func noteTable(_ fault: SettledFault, _ level: TranslationLevel?) {
    if level == .l3, fault.evidence.peers.isEmpty, let region = fault.evidence.region {
      table.regions[region].mayBeBlock = false
    }
    if let level, level < .l2 { table.noteNoTable(below: level, fault.page) }
  }

  private func translationCheck<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, _ walk: Stage2Walk, _ level: TranslationLevel?, _ vm: KnownVM,
    _ backend: inout Backend
  ) -> TranslationCheck {
    var window = windowEvidence(fault, walk)
    let profile = context.profile
    let isUnexpected: Bool
    if case .invalid(let modelled) = walk, let level {
      isUnexpected = level > modelled
      if !isUnexpected { window.isTableRecent = table.isTableRecent(above: level, fault) }
    } else {
      isUnexpected = false
    }
    window.knowledge =
      switch (walk, level) {
      // A table may map memory of a slot whose commit was lost.
      case (.invalid, _?) where isUnexpected && fault.evidence.endEpoch != vm.slotsKnownFrom:
        .unknown(.lostEvents)
      case (.invalid, let level?) where isUnexpected: knowledge(ofTable: level, fault, vm)
      case (.invalid, let level?): knowledge(ofLeavesBelow: level, fault, vm, &backend)
      default: knowledge(ofLeaf: fault, walk, vm, &backend)
      }
    window.isUntraced =
      fault.evidence.isAdopted || fault.slot?.flags.contains(.guestMemfd) == true
      || vm.removals.contains { isRemoving($0, fault, walk, level) }
    return TranslationCheck(
      walk: walk, level: level,
      startLevel: profile.isPKVM ? profile.geometry.startLevel : vm.startLevel, isProtected: vm.isProtected,
      mayHaveUntracedTable: isUnexpected && !profile.isPKVM
        && level.map { !table.hadNoTable($0, fault.page) && hasRoom(around: fault.page, $0, vm) } ?? false,
      window: window, hasFailed: fault.failed)
  }

  /// Whether a slot's removal accounts for a translation fault: it takes away the leaf, or for a fault that stops above a
  /// table, memory below that table.
  private func isRemoving(
    _ removal: SlotRemoval, _ fault: SettledFault, _ walk: Stage2Walk, _ level: TranslationLevel?
  ) -> Bool {
    if removal.covers(fault.window, pageSize) { return true }
    guard case .invalid = walk, let level, level < .l3, removal.since < fault.end else { return false }
    let blocks = table.span(TranslationLevel(level.rawValue + 1), fault.page)
    return table.regions.block(removal.frames.start) <= blocks.upperBound
      && blocks.lowerBound <= table.regions.block(GFN(removal.frames.end.rawValue - 1))
  }

  /// Whether memory that no slot holds shares the table of `level` with an address: there the kernel may have mapped
  /// something itself.
  private func hasRoom(around page: IPA, _ level: TranslationLevel, _ vm: KnownVM) -> Bool {
    let bytes = pageSize.granule(TranslationLevel(level.rawValue - 1))
    var gfn = page.alignedDown(to: bytes).gfn(pageSize)
    let end = gfn + (bytes >> pageSize.shift)
    while gfn < end {
      guard let slot = vm.slots.slot(gfn) else { return true }
      gfn = slot.end
    }
    return false
  }

  private mutating func resyncModel<Backend: Stage2Backend & ~Copyable>(
    toTranslation fault: SettledFault, _ walk: Stage2Walk, _ vm: KnownVM, _ backend: inout Backend
  ) {
    var level = fault.walkLevel ?? .l3
    let startLevel = context.profile.geometry.startLevel
    switch walk {
    case .leaf(let leaf, _, _):
      // Below tables where the model had a block, any page may be mapped.
      if leaf < .l2, level > leaf { table.doubtPUD(around: fault.page) }
      if leaf < .l3, level == .l3, let region = fault.evidence.region {
        table.regions[region].mayLackPages = true
        if fault.walkLevel == .l3 { table.regions[region].host.disproveBlock() }
      }
      level = max(min(level, leaf), startLevel)
    case .invalid(let modelled):
      guard fault.walkLevel != nil, level < modelled else { return }
      level = max(level, startLevel)
    }
    if vm.isProtected { return }
    let bytes = pageSize.granule(level)
    let start = fault.page.alignedDown(to: bytes)
    backend.unmapProven(start, size: bytes, ipaBits: context.profile.ipaBits)
    note(.unmap(start, size: bytes))
  }

  // MARK: Permission and access flag faults

  mutating func checkLeaf<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, at time: Nanoseconds, _ vm: KnownVM, _ backend: inout Backend
  ) -> CheckResult {
    let walk = backend.walk(fault.page)
    let level = fault.isStage1Walk ? nil : fault.level
    var judgement: Judgement?
    if case .leaf(let modelled, _, _) = walk, level == nil || (level == modelled && level == .l3),
      fault.slot != nil, !vm.isProtected, fault.kind == .permission || !context.profile.hasHardwareAccessFlag
    {
      // The common case: a page is where the fault says.
    } else {
      judgement = leafCheck(fault, walk, level, vm, &backend).judgement
    }
    if let judgement {
      put(judgement, fault.window, at: time, walk, vm.id)
      // A block that the fault met and that another one broke in its window does not come back.
      let isBroken = judgement.verdict == .unknown && table.isResized(fault)
      let isCorrected = judgement.verdict != .explained && fault.slot != nil && !isBroken
      if isCorrected { resyncModel(toLeaf: fault, vm, &backend) }
      // What was taken for the reason that the leaf was not there may have left others, too.
      if isCorrected, judgement.verdict == .unknown, case .invalid = walk, let region = fault.evidence.region
      {
        table.regions[region].mayLackPages = true
      }
      // An unmap of its region in its window may have taken the leaf that it met.
      let mayBeGone = fault.mayHaveUntoldHoles || isCorrected && fault.evidence.unmapOfRegion != .none
      table.setLeaf(fault, backend.walk(fault.page)) {
        $0 = mayBeGone ? [.isEstablished, .isAssumed] : .isEstablished
      }
      return CheckResult(verdict: judgement.verdict, isCorrected: isCorrected)
    }
    guard case .leaf(_, let prot, let isYoung) = walk else { return CheckResult() }
    return checkRights(fault, at: time, walk, prot, isYoung, vm, &backend)
  }

  private func leafCheck<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, _ walk: Stage2Walk, _ level: TranslationLevel?, _ vm: KnownVM,
    _ backend: inout Backend
  ) -> LeafCheck {
    var window = windowEvidence(fault, walk)
    window.knowledge = knowledge(ofLeaf: fault, walk, vm, &backend)
    return LeafCheck(
      kind: fault.kind, walk: walk, level: level, blockLevel: vm.isProtected ? .l3 : blockLevel,
      isPKVM: context.profile.isPKVM, isProtected: vm.isProtected,
      hasHardwareAccessFlag: context.profile.hasHardwareAccessFlag,
      isInSlot: fault.slot != nil || vm.wasRunning ? fault.slot.map { _ in true } : false,
      slotHoldsBlock: holdsBlock(fault, level ?? .l3) || fault.evidence.mayLackCommit,
      isGuestMemfd: fault.slot?.flags.contains(.guestMemfd) == true && !fault.evidence.mayLackCommit,
      lastRefusal: lastRefusal(of: fault),
      window: window)
  }

  /// Whether the slot of a fault can hold a leaf of a level there.
  private func holdsBlock(_ fault: SettledFault, _ level: TranslationLevel) -> Bool {
    fault.slot?.supportsBlock(of: pageSize.granule(level), at: fault.page.gfn(pageSize), pageSize) ?? false
  }

  /// The highest level at which this path maps anything.
  private var blockLevel: TranslationLevel {
    let profile = context.profile
    return profile.isPKVM ? (profile.profile.mapsBlocks ? .l2 : .l3) : profile.geometry.minBlockLevel
  }

  private mutating func checkRights<Backend: Stage2Backend & ~Copyable>(
    _ fault: SettledFault, at time: Nanoseconds, _ walk: Stage2Walk, _ prot: Stage2Prot, _ isYoung: Bool,
    _ vm: KnownVM, _ backend: inout Backend
  ) -> CheckResult {
    // What it lacks is what the fault is about.
    let lacksRight =
      fault.kind == .permission && isYoung
      && (fault.isWrite ? !prot.contains(.write) : fault.isExec && !prot.isSuperset(of: .execute))
    let isOld = fault.kind == .accessFlag && !isYoung
    let isFromBeforeGap = !table.leaf(fault, walk).contains(.isEstablished) && !isWholeKnown(fault, vm)
    defer {
      if isFromBeforeGap, !vm.isProtected { forgetRights(of: fault, walk, &backend) }
      table.setLeaf(fault, walk) {
        if !fault.mayHaveUntoldHoles { $0.remove(.isAssumed) }
        $0.insert(.isEstablished)
      }
      if !fault.isStage1Walk, let region = fault.evidence.region { table.regions[region].mayBeBlock = false }
    }
    if lacksRight || isOld { return CheckResult(walk: isFromBeforeGap ? nil : walk) }
    var window = windowEvidence(fault, walk)
    window.knowledge = knowledge(ofLeaf: fault, walk, vm, &backend)
    // Other vCPUs' faults on other pages make those young, not this one.
    if case .leaf(.l3, _, _) = walk, !window.peers.contains(.onPage) { window.peers.remove(.inRegion) }
    let check = RightsCheck(
      kind: fault.kind, isWrite: fault.isWrite, isExec: fault.isExec, prot: prot, isYoung: isYoung,
      hasHardwareAccessFlag: context.profile.hasHardwareAccessFlag, leaf: table.leaf(fault, walk),
      grant: grant(fault, walk), isLogging: fault.slot?.isLogging ?? false,
      mayLackCommit: fault.evidence.mayLackCommit, isMadeYoung: table.isMadeYoung(fault, walk), window: window
    )
    if let accessFlag = check.accessFlag {
      put(accessFlag, fault.window, at: time, walk, vm.id)
      if accessFlag.verdict == .unexplained { return CheckResult(verdict: .unexplained) }
    }
    guard let rights = check.rights else { return CheckResult() }
    put(rights, fault.window, at: time, walk, vm.id)
    return CheckResult(verdict: rights.verdict)
  }

  /// A fault shows a leaf that the model has from before a gap. It may be another one, mapped since, so of its rights none is known.
  private mutating func forgetRights<Backend: Stage2Backend & ~Copyable>(
    of fault: SettledFault, _ walk: Stage2Walk, _ backend: inout Backend
  ) {
    guard case .leaf(let level, _, _) = walk else { return }
    backend.mapProven(fault, pageSize.granule(level), minPages: context.profile.minPages)
    note(.map(size: pageSize.granule(level), before: walk))
  }

  /// Maps what a permission or access flag fault shows to be mapped, with no right that is not known: what a leaf
  /// lacks in the model contradicts no event.
  private mutating func resyncModel<Backend: Stage2Backend & ~Copyable>(
    toLeaf fault: SettledFault, _ vm: KnownVM, _ backend: inout Backend
  ) {
    let level = fault.isStage1Walk ? .l3 : fault.level
    guard level >= .l2 || level >= blockLevel && holdsBlock(fault, level) else { return }
    let bytes = level < .l3 && context.profile.profile.mapsBlocks ? pageSize.granule(level) : pageSize.bytes
    // Nothing but the end takes a page from a protected guest, and it has no other rights.
    if vm.isProtected { return }
    let walk = backend.walk(fault.page)
    if case .leaf(let modelled, _, _) = walk {
      // Of the block's other pages nothing is known now.
      if modelled < .l2, level > modelled { table.doubtPUD(around: fault.page) }
      if level == .l3, let region = fault.evidence.region { table.regions[region].mayLackPages = true }
    }
    backend.mapProven(fault, bytes, minPages: context.profile.minPages)
    note(.map(size: bytes, before: walk))
  }
}

extension Stage2Backend where Self: ~Copyable {
  /// Unmaps what a fault shows not to be mapped, as far as there are addresses.
  mutating func unmapProven(_ start: IPA, size: UInt64, ipaBits: Int) {
    let limit = UInt64(1) << UInt64(ipaBits)
    let made = hypercallCounts
    beginCorrection()
    if start.rawValue < limit { _ = unmap(start, size: min(size, limit - start.rawValue)) }
    forgetHypercalls(since: made)
  }

  /// Maps what a permission or access flag fault shows to be mapped, in a leaf of `bytes`.
  mutating func mapProven(_ fault: SettledFault, _ bytes: UInt64, minPages: Int) {
    let address = fault.page.alignedDown(to: bytes)
    // It may be the vCPU's first: that EL2 is told of it is counted.
    topUpMemcache(vcpu: VCPUIndex(fault.vcpu), pages: minPages)
    let made = hypercallCounts
    beginCorrection()
    defer { forgetHypercalls(since: made) }
    _ = unmap(address, size: bytes)
    let result = map(address, size: bytes, pfn: nil, prot: .read, vcpu: VCPUIndex(fault.vcpu))
    if result.isSuccess, fault.kind == .accessFlag {
      _ = testClearYoung(address, size: bytes, markOld: true)
    }
  }
}
