internal import KVMTypes
internal import Stage2Model

/// What a replay asks of a backend besides the operations.
protocol ReplayedBackend: Stage2Backend, SendableMetatype, ~Copyable {
  /// The memory that the VM occupies.
  var memory: MemoryAccounting { get }
  /// The hypercalls made so far, nil where the path makes none.
  var hypercallCounts: HypercallCounts? { get }
  /// The depth of the mapping tree and its mean, nil where the path has none.
  borrowing func mappingTreeDepth() -> (maximum: Int, mean: Double)?
  /// The host took a page of a protected guest by force, before this.
  ///
  /// - Returns: whether the guest had the page, then or until an earlier call.
  mutating func takeByForce(_ page: IPA) -> Bool
  /// An RCU grace period passes: what waits for one is freed.
  mutating func passGracePeriod()
}

extension TraditionalStage2: ReplayedBackend {
  var hypercallCounts: HypercallCounts? { nil }
  borrowing func mappingTreeDepth() -> (maximum: Int, mean: Double)? { nil }
  /// No guest is protected.
  mutating func takeByForce(_ page: IPA) -> Bool { false }
  mutating func passGracePeriod() { drainUnlinkedTables() }
}

extension PKVMStage2: ReplayedBackend {
  var hypercallCounts: HypercallCounts? { hypercalls }
  mutating func takeByForce(_ page: IPA) -> Bool { forceReclaimGuestPage(at: page) }
  /// EL2 has no RCU, and the host frees mapping objects at once.
  mutating func passGracePeriod() {}

  borrowing func mappingTreeDepth() -> (maximum: Int, mean: Double)? {
    let depth = treeDepth()
    return depth.max > 0 ? (depth.max, depth.mean) : nil
  }
}
