import KVMTypes

/// Whether both sides agree, asked for by tests and by callers that want to know.
extension PKVMStage2 {
  /// What contradicts itself, empty where nothing does: the tree's own order and balance, EL2's table, the
  /// host's mappings against EL2's leaves, the accounting against a recount. Walks everything.
  public borrowing func checkInvariants() -> [String] {
    var problems =
      mappings.isInterval ? mappings.interval.checkInvariants() : mappings.plain.checkInvariants()
    // Only a map that ran out of pages leaves an empty table behind.
    problems += hyp.table.checkInvariants(allowEmptyTables: hyp.warnings.count(of: .hypMapFailed) > 0)
    checkLeaves(&problems)
    checkAccounting(&problems)
    return problems
  }

  /// Host tree = EL2 leaves, but for mappings that EL2 is known to lack: those inserted in spite of an error
  /// before 6.16, and the poisoned pages of protected guests.
  private borrowing func checkLeaves(_ problems: inout [String]) {
    var leaves: [GFN: Mapping] = [:]
    let isProtected = configuration.isProtected
    hyp.table.forEachEntry { entry in
      guard entry.descriptor.isValid else { return }
      let gfn = gfn(entry.ipa)
      let pages = configuration.geometry.pageSize.granule(entry.level) >> pageShift
      leaves[gfn] = Mapping(gfn: gfn, pfn: entry.descriptor.pfn, pages: pages)
      let state = entry.descriptor.guestPageState
      let isRight = isProtected ? state == .owned || state == .sharedOwned : state == .sharedBorrowed
      if !isRight { problems.append("the leaf of frame \(gfn.rawValue) is in state \(state)") }
    }
    guard usesTree else {
      expect("mappings", hyp.memory.mappings.live, leaves.count, &problems)
      return
    }
    // A node that was inserted without a leaf keeps its frame when the page is mapped after all.
    let comparesFrames = hyp.memory.lostMappings.live == 0
    mappings.forEach { mapping in
      if let leaf = leaves.removeValue(forKey: mapping.gfn) {
        if leaf.pages != mapping.pages || comparesFrames && leaf.pfn != mapping.pfn {
          problems.append("\(mapping) has \(leaf) at EL2")
        }
      } else if !phantoms.contains(mapping.gfn),
        hyp.table.leaf(hyp.ipa(mapping.gfn)).descriptor.guestPageState != .poison
      {
        problems.append("\(mapping) has no leaf")
      }
    }
    for leaf in leaves.values { problems.append("leaf \(leaf) has no mapping") }
  }

  /// The pages and objects that are counted are those that exist.
  private borrowing func checkAccounting(_ problems: inout [String]) {
    let memory = hyp.memory
    expect("host memcache", memory.pages(.hostMemcache).live, memcaches.sum { $0.pages }, &problems)
    expect("EL2 memcache", memory.pages(.hypMemcache).live, hyp.vcpus.sum { $0.memcache }, &problems)
    expect("pool", memory.pages(.pool).live, hyp.table.pages.pool, &problems)
    if usesTree { expect("mapping objects", memory.mappings.live, mappings.count, &problems) }
    for (level, tables) in hyp.table.recountTables() {
      expect("tables of level \(level.rawValue)", memory.tables(level: level).live, tables, &problems)
    }
    expect("objects ready", memory.spareMappings.live, memcaches.sum { $0.hasMapping ? 1 : 0 }, &problems)
  }

  private borrowing func expect(_ what: String, _ counted: Int, _ found: Int, _ problems: inout [String]) {
    if counted != found { problems.append("\(what): counted \(counted), found \(found)") }
  }
}
