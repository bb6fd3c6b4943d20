internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// What the checks of a fault know of its window and of the table.

extension Replayer where Backend: ~Copyable {
  // MARK: Evidence

  func windowEvidence(_ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>) -> WindowEvidence {
    let evidence = fault.evidence
    var window = WindowEvidence()
    window.unmapOfRegion = evidence.unmapOfRegion
    window.unmapOfVM = evidence.unmapOfVM
    window.peers = evidence.peers
    window.isLeafRecent = isLeafRecent(fault, walk, vm, since: evidence.entry)
    window.isRetry =
      fault.vcpu < vm.progress.count && vm.progress[fault.vcpu].barren == BarrenFault(fault)
    window.isResized = evidence.peers.contains(.mayResize)
    if evidence.region >= 0, vm.regions[evidence.region].resized > evidence.entry { window.isResized = true }
    return window
  }

  func isLeafRecent(
    _ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>, since position: UInt64
  ) -> Bool {
    guard case .leaf(let level, _, _) = walk, fault.evidence.region >= 0 else { return false }
    if level < .l3 { return vm.regions[fault.evidence.region].blockBorn > position }
    return pageBirths.mayBe(pageKey(fault.page.gfn(profile.pageSize), vm), after: position)
  }

  /// Whether an access flag fault made the leaf of a fault young since the vCPU's entry.
  func isMadeYoung(_ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>) -> Bool {
    let entry = fault.evidence.entry
    guard case .leaf(.l3, _, _) = walk else { return vm.regions[fault.evidence.region].madeYoung > entry }
    return pageBirths.mayBe(youngKey(fault.page.gfn(profile.pageSize), vm), after: entry)
  }

  /// The key under which it is noted where a page was made young, among those of where it was mapped.
  func youngKey(_ gfn: GFN, _ vm: GuestVM<Backend>) -> UInt64 { pageKey(gfn, vm) | 1 << 63 }

  func pageKey(_ gfn: GFN, _ vm: GuestVM<Backend>) -> UInt64 { UInt64(vm.id) << 40 | gfn.rawValue }

  /// A table of `level`, or for its knowledge the span of memory below it: level and number in one.
  func tableKey(_ level: TranslationLevel, _ page: IPA) -> FrameKey {
    let span = page.rawValue >> profile.pageSize.levelShift(TranslationLevel(level.rawValue - 1))
    return FrameKey(UInt64(level.rawValue) << 56 | span)
  }

  func grantKey(_ fault: FaultRecord, _ walk: Stage2Walk) -> FrameKey {
    var gfn = fault.page.gfn(profile.pageSize).rawValue
    if case .leaf(let level, _, _) = walk, level < .l3 { gfn &= ~(profile.pageSize.pagesPerPMD - 1) }
    return FrameKey(gfn << 1 | (fault.isWrite ? 1 : 0))
  }

  // MARK: What is known

  func leafKnowledge(_ fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>) -> LeafKnowledge {
    guard fault.evidence.region >= 0 else { return [] }
    if case .leaf(let level, _, _) = walk, level < .l3 {
      return vm.regions[fault.evidence.region].blockKnowledge
    }
    return vm.regions.page(fault.page.gfn(profile.pageSize), fault.evidence.region)
  }

  /// Changes what is known of the page of a fault, or of the block that maps it.
  func setKnowledge(
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
  func reasonUnknown(_ fault: FaultRecord) -> DivergenceException? {
    let evidence = fault.evidence
    return evidence.entryEpoch != evidence.endEpoch || evidence.endEpoch & 1 != 0 ? .lostEvents : nil
  }

  func reasonUnknown(in epoch: Int32, _ vm: GuestVM<Backend>) -> DivergenceException {
    epoch == vm.firstEpoch ? .begunMidLife : .lostEvents
  }

  /// Whether all of a region is known in an epoch: the VM began in it, or a fault showed that there was nothing.
  func isWholeKnown(_ fault: FaultRecord, _ vm: GuestVM<Backend>) -> Bool {
    let epoch = fault.evidence.endEpoch
    if vm.knownFrom == epoch { return true }
    if fault.evidence.region >= 0, vm.regions[fault.evidence.region].emptyIn == epoch { return true }
    return isSpanKnown(fault, vm)
  }

  func isSpanKnown(_ fault: FaultRecord, _ vm: GuestVM<Backend>) -> Bool {
    let epoch = fault.evidence.endEpoch
    return vm.knownFrom == epoch || vm.emptySpans[tableKey(.l2, fault.page)] == epoch
      || vm.emptySpans[tableKey(.l1, fault.page)] == epoch
  }

  /// How the leaf of a fault is known, or that there is none.
  func knowledge(ofLeaf fault: FaultRecord, _ walk: Stage2Walk, _ vm: GuestVM<Backend>) -> StateKnowledge {
    if let reason = reasonUnknown(fault) { return .unknown(reason) }
    if vm.slotBasis == .assumed { return .assumed }
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
  func knowledge(
    ofTable level: TranslationLevel, _ fault: FaultRecord, _ vm: GuestVM<Backend>
  ) -> StateKnowledge {
    if let reason = reasonUnknown(fault) { return .unknown(reason) }
    if vm.slotBasis == .assumed { return .assumed }
    let isKnown = level == .l3 ? isWholeKnown(fault, vm) : isSpanKnown(fault, vm)
    if !isKnown { return .unknown(reasonUnknown(in: fault.evidence.endEpoch, vm)) }
    let mayHoldMore =
      level == .l3
      ? fault.evidence.region >= 0 && vm.regions[fault.evidence.region].mayHoldMore
      : vm.regions.contains(in: span(level, fault.page)) { $0.mayHoldMore }
    return mayHoldMore ? .assumed : .known
  }

  /// How the leaves are known below the entry of `level` at which a fault stopped.
  func knowledge(
    ofLeavesBelow level: TranslationLevel, _ fault: FaultRecord, _ vm: GuestVM<Backend>
  ) -> StateKnowledge {
    if let reason = reasonUnknown(fault) { return .unknown(reason) }
    if vm.slotBasis == .assumed { return .assumed }
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
    // Above the table that the walk begins with, nothing can stop.
    if vm.knownFrom == epoch, !isAssumed { return .known }
    return isAssumed ? .assumed : .unknown(reasonUnknown(in: epoch, vm))
  }

  /// The regions below a table of `level`.
  func span(_ level: TranslationLevel, _ page: IPA) -> ClosedRange<UInt64> {
    let shift =
      profile.pageSize.levelShift(TranslationLevel(level.rawValue - 1)) - profile.pageSize.levelShift(.l2)
    let first = (page.rawValue >> profile.pageSize.levelShift(.l2)) & ~((1 << shift) - 1)
    return first...first + (1 << shift) - 1
  }

  /// A translation fault shows that everything below the entry at which it stopped was unmapped.
  func learnEmpty(_ fault: FaultRecord, _ level: TranslationLevel?, _ vm: GuestVM<Backend>) {
    guard reasonUnknown(fault) == nil else { return }
    let epoch = fault.evidence.endEpoch
    setKnowledge(fault, .invalid(level: .l3), vm) { $0 = .isEstablished }
    guard let level, level < .l3 else { return }
    if fault.evidence.region >= 0 { vm.regions[fault.evidence.region].emptyIn = epoch }
    if level < .l2 { vm.emptySpans[tableKey(.l2, fault.page)] = epoch }
    if level < .l1 { vm.emptySpans[tableKey(.l1, fault.page)] = epoch }
  }
}
