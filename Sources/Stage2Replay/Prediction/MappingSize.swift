internal import KVMTrace
internal import KVMTypes

/// Whether a fault mapped a page or a block, and how that is known.
struct MappingSize: Hashable {
  var isBlock: Bool
  var basis: Basis

  static let page = MappingSize(isBlock: false, basis: .derived)
  static let block = MappingSize(isBlock: true, basis: .derived)
}

/// How many regions of a slot that could hold a block are proven to have held one, or pages.
struct SizeTally: Hashable {
  var blocks = 0
  var pages = 0
}

extension RegionTimelines {
  /// Decides the size of the mapping that `fault` made: from the slot's geometry, from what the host's table is known
  /// to hold, else from what followed in the region.
  func mappingSize(
    of fault: FaultRecord, in slot: Memslot, host: HostMappings, tally: SizeTally
  ) -> MappingSize {
    let gfn = fault.page.gfn(pageSize)
    // Logging asks for pages; a slot that cannot hold the block cannot have it.
    if slot.isLogging || !slot.supportsBlock(of: pageSize.pmdBytes, at: gfn, pageSize) { return .page }
    let isBlockFault = fault.kind == .permission && fault.level == .l2 && !fault.isStage1Walk
    if slot.hva == nil {
      // Neither the host's changes of its table nor logging can be seen: what follows in the region decides.
      let size = proof(of: fault, gfn) ?? (isBlockFault ? .block : byDefault(fault, tally))
      return MappingSize(isBlock: size.isBlock, basis: .assumed)
    }
    if isBlockFault { return .block }
    let known = host[gfn]
    if let known, known.basis == .derived { return known }
    return proof(of: fault, gfn) ?? known ?? byDefault(fault, tally)
  }

  /// What the first telling event of the region after `fault` proves, nil where there is none.
  private func proof(of fault: FaultRecord, _ gfn: GFN) -> MappingSize? {
    var isPartlyUnmapped = false
    var index = self[fault.node].next
    while index != TimelineNode.none {
      let node = self[index]
      index = node.next
      switch node.kind {
      case .translationFault:
        // A vCPU that entered before the operation may have walked the table as it was before. The level of a fault
        // of a stage-1 walk is not trusted: emulators report that of the stage-1 table.
        guard node.entry >= fault.end, !node.isStage1Walk else { continue }
        if node.level == .l3 { return .page }
        // The level-3 table is gone, or never was: a partial unmap removes a block whole, but never all pages.
        return isPartlyUnmapped ? .block : nil
      case .permissionFault, .accessFault:
        guard node.entry >= fault.end, !node.isStage1Walk else { continue }
        return node.level == .l2 ? .block : .page
      case .age:
        // The host ages what its own table maps: a block as a block, pages page by page. Without an unmap in between,
        // its table was the same when the fault looked at it. (A whole table of aged pages looks like a block.)
        if isPartlyUnmapped { continue }
        if node.frames.count == pageSize.pagesPerPMD { return MappingSize(isBlock: true, basis: .assumed) }
        if node.frames.count < pageSize.pagesPerPMD { return .page }
      case .unmap, .slotChange:
        guard node.sequence > fault.end else { continue }
        if node.frames.contains(gfn) || node.kind == .slotChange { return nil }
        isPartlyUnmapped = true
      case .testAge: continue
      }
    }
    return nil
  }

  /// Where nothing tells: a region of pages shows every further page that is touched by a fault, a block never shows
  /// anything. A table of level 3 that exists already speaks for pages, as do other regions of the slot.
  private func byDefault(_ fault: FaultRecord, _ tally: SizeTally) -> MappingSize {
    let isPages = fault.kind == .permission || fault.level == .l3 || (tally.pages > 0 && tally.blocks == 0)
    return MappingSize(isBlock: !isPages, basis: .assumed)
  }
}
