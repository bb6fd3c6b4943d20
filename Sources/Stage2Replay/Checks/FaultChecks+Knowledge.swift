internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// What the checks of a fault know of its window and of the table.

extension FaultChecks {
  func windowEvidence(_ fault: SettledFault, _ walk: Stage2Walk) -> WindowEvidence {
    let evidence = fault.evidence
    var window = WindowEvidence()
    window.unmapOfRegion = evidence.unmapOfRegion
    window.unmapOfVM = evidence.unmapOfVM
    window.peers = evidence.peers
    window.isLeafRecent = table.isLeafRecent(fault, walk, since: evidence.entry)
    window.isRetry = isRetry(fault)
    window.lacksSlot = lacksSlot
    window.isResized = evidence.peers.contains(.mayResize) || table.isResized(fault)
    return window
  }

  /// A VM may have run since before the trace; behind a gap what is missing there is reason enough.
  private func reasonUnknown(in epoch: Epoch, _ vm: KnownVM) -> DivergenceException {
    epoch == vm.firstEpoch && epoch == Epoch(0) ? .begunMidLife : .lostEvents
  }

  /// Whether all of a region is known at a fault: the VM began in that epoch, or a fault showed that there was nothing.
  func isWholeKnown(_ fault: SettledFault, _ vm: KnownVM) -> Bool {
    vm.knownFrom == fault.evidence.endEpoch || table.isRegionKnown(fault) || table.isSpanKnown(fault)
  }

  private func isSpanKnown(_ fault: SettledFault, below level: TranslationLevel, _ vm: KnownVM) -> Bool {
    vm.knownFrom == fault.evidence.endEpoch || table.isSpanKnown(fault, below: level)
  }

  /// What is an assumption: for want of a commit, if that may be missing.
  private func assumed(_ fault: SettledFault) -> StateKnowledge {
    fault.evidence.mayLackCommit ? .unknown(.lostEvents) : .assumed
  }

  /// How the leaf of a fault is known, or that there is none.
  func knowledge<Backend: Stage2Backend & ~Copyable>(
    ofLeaf fault: SettledFault, _ walk: Stage2Walk, _ vm: KnownVM, _ backend: inout Backend
  ) -> StateKnowledge {
    if let reason = fault.reasonUnknown { return .unknown(reason) }
    let leaf = table.leaf(fault, walk)
    let region = fault.evidence.region.map { table.regions[$0] }
    if region?.mayBeBlock == true { return assumed(fault) }
    if !isWholeKnown(fault, vm), !leaf.contains(.isEstablished) {
      return .unknown(reasonUnknown(in: fault.evidence.endEpoch, vm))
    }
    if (fault.slot?.basis ?? vm.slotBasis) == .assumed { return .assumed }
    guard case .invalid(let stop) = walk else {
      if table.mayHaveUnseenRival(fault) { return .unknown(reasonUnknown(in: fault.evidence.endEpoch, vm)) }
      // That a hole may have taken the leaf accounts for its absence, and for nothing else.
      return leaf.contains(.isAssumed) && !fault.mayHaveUntoldHoles ? assumed(fault) : .known
    }
    if region?.mayHaveUnseenMappings == true { return .assumed }
    // A block in place of smaller leaves, none of which is certain to be one.
    if !fault.isStage1Walk, fault.level < stop, fault.level >= .l1,
      knowledge(ofLeavesBelow: fault.level, fault, vm, &backend) == .assumed
    {
      return .assumed
    }
    return .known
  }

  /// How it is known that there is no table of `level` on the way to a fault.
  func knowledge(ofTable level: TranslationLevel, _ fault: SettledFault, _ vm: KnownVM) -> StateKnowledge {
    if let reason = fault.reasonUnknown { return .unknown(reason) }
    let isKnown = level == .l3 ? isWholeKnown(fault, vm) : isSpanKnown(fault, below: level, vm)
    if !isKnown { return .unknown(reasonUnknown(in: fault.evidence.endEpoch, vm)) }
    if vm.slotBasis == .assumed { return .assumed }
    let mayHaveUnseenMappings =
      level == .l3
      ? fault.evidence.region.map { table.regions[$0].mayHaveUnseenMappings } ?? false
      : table.regions.contains(in: table.span(level, fault.page)) { $0.mayHaveUnseenMappings }
    return mayHaveUnseenMappings ? .assumed : .known
  }

  /// How the leaves are known below the entry of `level` at which a fault stopped.
  func knowledge<Backend: Stage2Backend & ~Copyable>(
    ofLeavesBelow level: TranslationLevel, _ fault: SettledFault, _ vm: KnownVM, _ backend: inout Backend
  ) -> StateKnowledge {
    if let reason = fault.reasonUnknown { return .unknown(reason) }
    let below = TranslationLevel(level.rawValue + 1)
    let isKnown = isSpanKnown(fault, below: below, vm)
    let epoch = fault.evidence.endEpoch
    var known = vm.slotBasis == .assumed ? StateKnowledge.assumed : .known
    if table.mayHaveUnseenRival(fault) { known = .unknown(reasonUnknown(in: epoch, vm)) }
    var isAssumed = false
    for index in table.regions.positions(in: table.span(below, fault.page)) {
      let region = table.regions[index]
      let isWhole = isKnown || region.emptyIn == epoch
      let first = table.regions.block(of: index) * pageSize.pagesPerPMD
      for number in 0..<table.regions.pagesPerRegion {
        let walk = backend.walk(GFN(first + UInt64(number)).ipa(pageSize))
        guard case .leaf(let leafLevel, _, _) = walk else {
          // Without a table there is no other page either.
          if case .invalid(.l3) = walk { continue } else { break }
        }
        let leaf =
          leafLevel < .l2
          ? table.pudKnowledge(fault.page)
          : leafLevel < .l3 ? region.blockKnowledge : table.regions.page(number, of: index).knowledge
        guard isWhole || (region.epoch == epoch && leaf.contains(.isEstablished)) else { continue }
        // Pages or a block in their place: something is there.
        if !leaf.contains(.isAssumed), !region.mayBeGone { return known }
        isAssumed = true
        if leafLevel < .l3 { break }
      }
    }
    // Above the table that the walk begins with, nothing can stop.
    if vm.knownFrom == epoch, !isAssumed { return known }
    return isAssumed ? .assumed : .unknown(reasonUnknown(in: epoch, vm))
  }
}
