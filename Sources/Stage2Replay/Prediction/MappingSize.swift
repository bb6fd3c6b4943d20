internal import KVMTrace
internal import KVMTypes

/// Whether a fault mapped a page or a block, and how that is known.
struct MappingSize: Hashable {
  var isBlock: Bool
  var basis: Basis
}

/// How many regions that could hold a block are proven to have held one, or pages.
struct SizeTally: Hashable {
  var blocks = 0
  var pages = 0

  mutating func add(_ size: MappingSize, _ fault: FaultRecord) {
    guard size.basis == .derived, fault.kind == .translation, fault.level < .l3 else { return }
    if size.isBlock { blocks += 1 } else { pages += 1 }
  }
}

extension RegionTimelines {
  /// Decides the size of the mapping that `fault` made, from the slot's geometry and what followed in its region.
  ///
  /// Where nothing does, what the host's table is known to hold tells, then what the VM's proven regions did.
  func mappingSize(
    of fault: FaultRecord, in slot: Memslot, host: HostMappings, tally: SizeTally
  ) -> MappingSize {
    let gfn = fault.page.gfn(pageSize)
    // Logging asks for pages; a slot that cannot hold the block cannot have it.
    if slot.isLogging || !slot.supportsBlock(of: pageSize.pmdBytes, at: gfn, pageSize) {
      return MappingSize(isBlock: false, basis: .derived)
    }
    if fault.kind == .permission, fault.level == .l2 { return MappingSize(isBlock: true, basis: .derived) }

    let region = region(gfn)
    var partlyUnmapped = false
    var index = self[fault.node].next
    while index != TimelineNode.none {
      let node = self[index]
      index = node.next
      switch node.kind {
      case .translationFault:
        guard node.entry >= fault.end else { continue }
        if node.level == .l3 { return MappingSize(isBlock: false, basis: .derived) }
        // The level-3 table is gone, or never was: a partial unmap removes a block whole, but never all pages.
        if partlyUnmapped { return MappingSize(isBlock: true, basis: .derived) }
        return byDefault(fault, host, tally)
      case .permissionFault, .accessFault:
        guard node.entry >= fault.end else { continue }
        return MappingSize(isBlock: node.level == .l2, basis: .derived)
      case .age:
        // The host ages what its own table maps: a block as a block, pages page by page. Without a notification in
        // between, its table was the same when the fault looked at it.
        guard !partlyUnmapped else { continue }
        if node.frames.count == pageSize.pagesPerPMD { return MappingSize(isBlock: true, basis: .derived) }
        if node.frames.count == 1 { return MappingSize(isBlock: false, basis: .derived) }
      case .unmap, .slotChange:
        guard node.sequence > fault.end else { continue }
        if node.frames.start <= region.start, node.frames.end >= region.end {
          return byDefault(fault, host, tally)
        }
        partlyUnmapped = true
      case .testAge: continue
      }
    }
    return byDefault(fault, host, tally)
  }

  private func byDefault(_ fault: FaultRecord, _ host: HostMappings, _ tally: SizeTally) -> MappingSize {
    switch host[fault.page.gfn(pageSize)] {
    case .block: return MappingSize(isBlock: true, basis: .derived)
    case .pages: return MappingSize(isBlock: false, basis: .derived)
    case .unmappedWhole: return MappingSize(isBlock: true, basis: .assumed)
    case nil:
      // A table of level 3 exists already where the walk got that far; elsewhere the next region will be as the
      // proven ones were.
      return MappingSize(isBlock: fault.level < .l3 && tally.blocks > tally.pages, basis: .assumed)
    }
  }
}
