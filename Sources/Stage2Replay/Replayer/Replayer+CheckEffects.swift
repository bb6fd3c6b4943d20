internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// What follows from a check: the model takes the hardware's word, and remembers what the fault did.

extension Replayer where Backend: ~Copyable {
  // MARK: Taking the hardware's word

  mutating func takeWord(ofTranslation fault: FaultRecord, _ walk: Stage2Walk, _ vm: Int) {
    let pageSize = profile.pageSize
    var level = fault.walkLevel ?? .l3
    switch walk {
    case .leaf(let leaf, _, _):
      // Below a table where the model had a block, any page may be mapped.
      if leaf < .l3, level == .l3, fault.evidence.region >= 0 {
        vms[vm].regions[fault.evidence.region].mayHoldMore = true
      }
      level = max(min(level, leaf), profile.geometry.startLevel)
    case .invalid(let modelled):
      guard fault.walkLevel != nil, level < modelled else { return }
      level = max(level, profile.geometry.startLevel)
    }
    if vms[vm].isProtected { return }
    let bytes = pageSize.granule(level)
    let start = fault.page.alignedDown(to: bytes)
    let limit = UInt64(1) << UInt64(profile.ipaBits)
    guard start.rawValue < limit else { return }
    _ = vms[vm].backend.unmap(start, size: min(bytes, limit - start.rawValue))
  }

  /// Maps what a permission or access flag fault shows to be mapped, with no right that is not known: what a leaf
  /// lacks in the model contradicts no event.
  func takeWord(ofLeaf fault: FaultRecord, _ vm: GuestVM<Backend>) {
    let pageSize = profile.pageSize
    guard let level = fault.isStage1Walk ? .l3 : Optional(fault.level), level >= .l2 else { return }
    let bytes = level == .l2 && profile.profile.mapsBlocks ? pageSize.pmdBytes : pageSize.bytes
    let address = fault.page.alignedDown(to: bytes)
    // Nothing but the end takes a page from a protected guest, and it has no other rights.
    if vm.isProtected { return }
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

  // MARK: After the operation

  /// Notes what a range operation did, for the regions that it touches.
  mutating func remember(_ kind: RegionEvent.Kind, _ frames: FrameRange, _ record: PendingRecord) {
    let event = RegionEvent(
      time: record.time, ipa: frames.start.ipa(profile.pageSize), pages: UInt32(clamping: frames.count),
      tid: record.tid, cpu: record.cpu, kind: kind, level: nil, access: .none, effect: .asked)
    vms[record.vm].regions.forEach(in: frames) { position, regions in regions.append(event, to: position) }
  }

  /// Frames were unmapped. Where a part of a block was unmapped, all of it is gone; but if the block was an assumption, pages
  /// may be left.
  func noteUnmapped(_ frames: FrameRange, _ vm: GuestVM<Backend>) {
    let pages = profile.pageSize.pagesPerPMD
    vm.regions.forEach(in: frames) { position, regions in
      let first = GFN(regions[position].block * pages)
      if frames.start <= first, first + pages <= frames.end {
        regions[position].mayHoldMore = false
        regions[position].mayBeBlock = false
      } else if regions[position].blockKnowledge.contains(.isAssumed) {
        regions[position].mayHoldMore = true
      }
      regions[position].blockKnowledge = []
    }
  }

  /// A fault was applied.
  mutating func note(
    _ effect: FaultEffect, of fault: FaultRecord, _ before: Stage2Walk, _ record: PendingRecord,
    _ vm: GuestVM<Backend>, contradicts: Bool, isRetried: Bool
  ) {
    var isBarren = isRetried
    if case .again = effect { isBarren = true }
    noteProgress(
      fault, record, vm, contradicts: contradicts, isRetried: isRetried, isBarren: isBarren && !contradicts)
    guard fault.evidence.region >= 0 else { return }
    vm.regions.append(RegionEvent(fault, record, effect), to: fault.evidence.region)
    note(effect, of: fault, before, vm)
  }

  /// What a fault did to the leaf, and how that is known.
  mutating func note(
    _ effect: FaultEffect, of fault: FaultRecord, _ before: Stage2Walk, _ vm: GuestVM<Backend>
  ) {
    let pageSize = profile.pageSize
    let gfn = fault.page.gfn(pageSize)
    let position = fault.evidence.region
    let isEstablished: LeafKnowledge = vm.knownFrom == fault.evidence.endEpoch ? [] : .isEstablished
    switch effect {
    case .again:
      // The fault found pages where there is a block by now: it or another vCPU replaced them in its window.
      if case .leaf(let level, _, _) = before, level < .l3, fault.walkLevel == .l3 {
        vm.regions[position].resized = fault.end
      }
      // It lost to a block that is an assumption: beside a page it would have mapped one of its own.
      if case .leaf(let level, _, _) = before, level < .l3,
        vm.regions[position].blockKnowledge.contains(.isAssumed)
      {
        vm.regions[position].mayHoldMore = true
      }
    case .nothing(let isAssumed, let refusal):
      if isAssumed { vm.regions[position].mayHoldMore = true }
      vm.lastRefused = refusal.map { RefusedFault(page: fault.page, refusal: $0) }
    case .madeYoung:
      vm.regions[position].madeYoung = fault.end
      pageBirths.note(youngKey(gfn, vm), at: fault.end)
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
        if !vm.regions[position].blockKnowledge.isEmpty { vm.regions[position].blockKnowledge = [] }
        pageBirths.note(pageKey(gfn, vm), at: fault.end)
        vm.regions.setPage(gfn, position, knowledge)
      }
    }
  }
}
