internal import KVMTrace
internal import KVMTypes

// What follows a fault in its region shows whether it mapped a page or a block.

extension RegionTimelines {
  /// What the first telling event of the region after `fault` proves, nil where there is none. What happens elsewhere in a
  /// stretch of PUD_SIZE is told by `FaultEvidence.isInPUD`.
  func sizeProof(of fault: FaultWindow) -> MappingSize? {
    // In a gap nothing is proven.
    let isInGap = fault.evidence.entryEpoch.isInGap || fault.evidence.endEpoch.isInGap
    let firstBreak = isInGap ? fault.begin : breaks.first(after: fault.begin)
    return sizeProof(of: fault, before: firstBreak) ?? likelySize(of: fault, behind: firstBreak)
  }

  /// What an event suggests behind which others are missing.
  private func likelySize(of fault: FaultWindow, behind firstBreak: Sequence) -> MappingSize? {
    guard firstBreak != .pending, let size = sizeProof(of: fault, before: .pending) else { return nil }
    return MappingSize(level: size.level, basis: .assumed)
  }

  /// What the first telling event of the region between `fault` and `last` proves.
  private func sizeProof(of fault: FaultWindow, before last: Sequence) -> MappingSize? {
    let gfn = fault.page.gfn(pageSize)
    var isPartlyUnmapped = false
    var mayBeSplit = false
    // A vCPU that had entered before the operation has broken the block since, or put one in place of the pages, perhaps.
    var (mayBeBroken, mayBeReplaced) = (false, false)
    var index = node(of: fault).next
    while index != TimelineNode.none, self[index].sequence < last {
      let node = self[index]
      index = node.next
      switch node.kind {
      case .translationFault:
        // A vCPU that entered before the operation may have walked the table as it was before. The level of a fault
        // of a stage-1 walk is not trusted: emulators report that of the stage-1 table.
        guard node.entry >= fault.end, !node.isStage1Walk else {
          if node.sequence > fault.begin { mayBeReplaced = true }
          continue
        }
        if node.level == .l3 {
          return mayBeBroken || mayBeSplit && isPartlyUnmapped ? .assumedPage : .page
        }
        // The level-3 table is gone, or never was: a partial unmap removes a block whole, but never all pages.
        guard isPartlyUnmapped else { return nil }
        let isOpen = fault.evidence.isLoggingOpen && mayBeReplaced
        return isOpen ? MappingSize(level: .l2, basis: .assumed) : .block
      case .permissionFault, .accessFault:
        guard node.entry >= fault.end, !node.isStage1Walk else {
          // Dirty logging maps a page in a block whatever the access is; without it a block takes the place of pages.
          if node.kind == .permissionFault {
            if node.level < .l3 || node.isStage1Walk { mayBeBroken = true }
            if node.level == .l3 || node.isStage1Walk { mayBeReplaced = true }
          }
          continue
        }
        if node.level == .l3 { return mayBeSplit || mayBeBroken ? .assumedPage : .page }
        if fault.evidence.isLoggingOpen, mayBeReplaced {
          return MappingSize(level: node.level, basis: .assumed)
        }
        return node.level == .l2 ? .block : .pud
      case .age:
        // The host ages what its own table maps: a block as a block, pages page by page. Without an unmap in between,
        // its table was the same when the fault looked at it. (A whole table of aged pages looks like a block.)
        if isPartlyUnmapped { continue }
        if node.frames.count == pageSize.pagesPerPMD { return MappingSize(level: .l2, basis: .assumed) }
        // Only DAMON ages hugetlb pages, each as a whole (damon_hugetlb_mkold).
        if node.frames.count == pageSize.granule(.l1) >> pageSize.shift {
          return MappingSize(level: .l1, basis: .assumed)
        }
        if node.frames.count < pageSize.pagesPerPMD { return .page }
      case .unmap, .slotChange:
        guard fault.isFollowed(by: node) || node.kind == .slotChange && node.frames.contains(gfn) else {
          continue
        }
        if node.frames.contains(gfn) || node.kind == .slotChange { return nil }
        isPartlyUnmapped = true
      // KVM may split blocks where logging begins (kvm_mmu_split_memory_region).
      case .loggingBegins: mayBeSplit = mayBeSplit || node.frames.contains(gfn)
      case .testAge: continue
      }
    }
    return nil
  }
}

extension RegionTimelines {
  /// Where the vCPU had entered that met a block before `fault` did anything in the region, nil where none is known to have. The
  /// host has that block as long as nothing of the region is unmapped.
  func entryOfBlockFault(before fault: FaultWindow) -> Sequence? {
    var index = node(of: fault).previous
    while index != TimelineNode.none, !self[index].isLoss {
      let node = self[index]
      let isOnLeaf = node.kind == .permissionFault || node.kind == .accessFault
      if isOnLeaf, node.level == .l2, !node.isStage1Walk { return node.entry }
      index = node.previous
    }
    return nil
  }
}

extension MappingSize {
  fileprivate static let assumedPage = MappingSize(level: .l3, basis: .assumed)
}
