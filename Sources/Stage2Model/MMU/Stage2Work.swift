/// What operations on a stage-2 table cost, in units that a cost model can price. A backend counts what it likes: what comes of that
/// may be wrong, and ends nothing.
@frozen
public struct Stage2Work: Hashable, Sendable {
  /// Descriptors that walks looked at, by the host or by EL2.
  public var descriptors: Int
  /// Nodes of the host's mapping tree that searches looked at.
  public var treeNodes: Int
  /// Hypercalls.
  public var hypercalls: Int
  /// TLB invalidations.
  public var tlbInvalidations: Int
  /// Pages cleaned or invalidated in caches.
  public var cachePages: Int
  /// Pages whose state EL2 changed between host and guest, each page of a block by itself.
  public var pageStates: Int
  /// Table pages taken from a cache.
  public var tablePages: Int
  /// Pages donated to EL2 to refill memory caches.
  public var memcachePages: Int

  /// Amounts of work.
  @inlinable
  public init(
    descriptors: Int = 0, treeNodes: Int = 0, hypercalls: Int = 0, tlbInvalidations: Int = 0,
    cachePages: Int = 0, pageStates: Int = 0, tablePages: Int = 0, memcachePages: Int = 0
  ) {
    self.descriptors = descriptors
    self.treeNodes = treeNodes
    self.hypercalls = hypercalls
    self.tlbInvalidations = tlbInvalidations
    self.cachePages = cachePages
    self.pageStates = pageStates
    self.tablePages = tablePages
    self.memcachePages = memcachePages
  }

  /// The work of both.
  @inlinable
  public static func + (a: Stage2Work, b: Stage2Work) -> Stage2Work {
    Stage2Work(
      descriptors: a.descriptors &+ b.descriptors, treeNodes: a.treeNodes &+ b.treeNodes,
      hypercalls: a.hypercalls &+ b.hypercalls,
      tlbInvalidations: a.tlbInvalidations &+ b.tlbInvalidations, cachePages: a.cachePages &+ b.cachePages,
      pageStates: a.pageStates &+ b.pageStates, tablePages: a.tablePages &+ b.tablePages,
      memcachePages: a.memcachePages &+ b.memcachePages)
  }

  /// Adds the work of `b` to `a`.
  @inlinable
  public static func += (a: inout Stage2Work, b: Stage2Work) {
    a.descriptors &+= b.descriptors
    a.treeNodes &+= b.treeNodes
    a.hypercalls &+= b.hypercalls
    a.tlbInvalidations &+= b.tlbInvalidations
    a.cachePages &+= b.cachePages
    a.pageStates &+= b.pageStates
    a.tablePages &+= b.tablePages
    a.memcachePages &+= b.memcachePages
  }

  /// The work between `b` and `a`.
  @inlinable
  public static func - (a: Stage2Work, b: Stage2Work) -> Stage2Work {
    Stage2Work(
      descriptors: a.descriptors &- b.descriptors, treeNodes: a.treeNodes &- b.treeNodes,
      hypercalls: a.hypercalls &- b.hypercalls,
      tlbInvalidations: a.tlbInvalidations &- b.tlbInvalidations, cachePages: a.cachePages &- b.cachePages,
      pageStates: a.pageStates &- b.pageStates, tablePages: a.tablePages &- b.tablePages,
      memcachePages: a.memcachePages &- b.memcachePages)
  }
}

extension Stage2Counters {
  /// The counters as work.
  var work: Stage2Work {
    Stage2Work(
      descriptors: descriptorsVisited, tlbInvalidations: tlbiAll, cachePages: dcachePages + icachePages,
      tablePages: tablesAllocated)
  }
}

extension TraditionalStage2 {
  /// The work since the VM was created.
  public var work: Stage2Work {
    mutating get { table.counters.work }
  }
}

extension PKVMStage2 {
  /// The work since the VM was created, the host's and EL2's.
  public var work: Stage2Work {
    mutating get {
      var work = hyp.table.counters.work
      work.hypercalls = hypercalls.total
      work.treeNodes = Int(mappings.counters.nodesVisited)
      work.cachePages += flushedPages
      work.pageStates = hyp.pageStateChanges
      work.memcachePages = hyp.refillDonations
      return work
    }
  }
}
