public import Stage2Model

/// What the time of a stage-2 operation grows with: the terms of the cost model.
public enum CostDriver: String, Hashable, Sendable, CaseIterable {
  /// The operation itself: what it takes before anything below.
  case operation
  /// A hypercall's way to EL2 and back (`kvm_call_hyp_nvhe`).
  case hypercall
  /// A page whose state EL2 checks and changes; a block counts its pages, for EL2 goes through all of them.
  case pageState
  /// A descriptor that a walk looks at (`__kvm_pgtable_visit`).
  case descriptor
  /// A node of the host's mapping tree that a search looks at.
  case treeNode
  /// A table page taken and cleared.
  case tablePage
  /// A page of a memory cache that is donated to EL2: unmapped from the host's stage 2, mapped at EL2.
  case memcachePage
  /// A page cleaned or invalidated in caches.
  case cachePage
  /// A TLB invalidation, the wait for its end included.
  case tlbInvalidation
  /// A point at which the lock would be dropped for others, when it is not.
  case reschedPoint
}

extension Stage2Work {
  /// How much of `driver` is in the work. An operation counts itself elsewhere, and so do resched points
  /// (`LockSection.reschedPoints`): 0.
  public func amount(_ driver: CostDriver) -> Int {
    switch driver {
    case .operation, .reschedPoint: 0
    case .hypercall: hypercalls
    case .pageState: pageStates
    case .descriptor: descriptors
    case .treeNode: treeNodes
    case .tablePage: tablePages
    case .memcachePage: memcachePages
    case .cachePage: cachePages
    case .tlbInvalidation: tlbInvalidations
    }
  }
}
