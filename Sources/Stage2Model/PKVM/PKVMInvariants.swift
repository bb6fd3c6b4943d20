import KVMTypes

/// Whether both sides agree, asked for by tests and by callers that want to know.
extension PKVMStage2 {
  /// Throws the first thing that is wrong: the tree's own order and balance, the host's mappings against
  /// EL2's leaves, the accounting against a recount, the caches against their bounds.
  public borrowing func checkInvariants() throws(InvariantViolation) {
    if mappings.isInterval {
      try mappings.interval.checkInvariants()
    } else {
      try mappings.plain.checkInvariants()
    }
    try checkLeaves()
    try checkAccounting()
  }

  /// Host tree = EL2 leaves, but for mappings that EL2 is known to lack: those inserted in spite of an error
  /// before 6.16, and the poisoned pages of protected guests.
  private borrowing func checkLeaves() throws(InvariantViolation) {
    var leaves: [GFN: Mapping] = [:]
    let expected: HypPageState = configuration.isProtected ? .owned : .sharedBorrowed
    var wrong: InvariantViolation?
    hyp.table.forEachLeaf { gfn, pages, leaf in
      leaves[gfn] = Mapping(gfn: gfn, pfn: leaf.pfn, pages: pages)
      let state = leaf.guestPageState
      if state != expected && !(configuration.isProtected && state == .sharedOwned) {
        wrong = InvariantViolation("the leaf of frame \(gfn.rawValue) is in state \(state)")
      }
    }
    if let wrong { throw wrong }
    let memory = hyp.memory
    guard usesTree else {
      if leaves.count != memory.mappings.live {
        throw InvariantViolation("\(leaves.count) leaves at EL2, \(memory.mappings.live) mappings counted")
      }
      return
    }
    var unmatched = leaves
    mappings.forEach { mapping in
      if let leaf = unmatched.removeValue(forKey: mapping.gfn) {
        if leaf != mapping { wrong = InvariantViolation("mapping \(mapping) has leaf \(leaf)") }
      } else if !phantoms.contains(mapping.gfn),
        hyp.table.leaf(hyp.ipa(mapping.gfn)).descriptor.guestPageState != .poison
      {
        wrong = InvariantViolation("mapping \(mapping) has no leaf")
      }
    }
    if let leaf = unmatched.first { wrong = InvariantViolation("leaf \(leaf.value) has no mapping") }
    if let wrong { throw wrong }
  }

  /// The pages and objects that are counted are those that exist.
  private borrowing func checkAccounting() throws(InvariantViolation) {
    let memory = hyp.memory
    var hostPages = 0
    var hypPages = 0
    for index in memcaches.indices { hostPages += memcaches[index].pages }
    for index in hyp.vcpus.indices { hypPages += hyp.vcpus[index].memcache }
    try expect("host memcache pages", memory.pages(.hostMemcache).live, hostPages)
    try expect("EL2 memcache pages", memory.pages(.hypMemcache).live, hypPages)
    try expect("pool pages", memory.pages(.pool).live, hyp.table.pages.pool)
    if usesTree { try expect("mappings", memory.mappings.live, mappings.count) }
    let pgdTables = hyp.state == .gone ? 0 : configuration.geometry.pgdPages
    try expect("tables", memory.tables.live, hyp.table.liveTables - pgdTables)
    var ready = 0
    for index in memcaches.indices where memcaches[index].hasMapping { ready += 1 }
    try expect("preallocated mappings", preallocatedMappings.live, ready)
  }

  private func expect(_ what: String, _ counted: Int, _ found: Int) throws(InvariantViolation) {
    if counted != found { throw InvariantViolation("\(what): counted \(counted), found \(found)") }
  }
}
