public import KVMTypes

/// One `struct pkvm_mapping`: what the host remembers of a page or block that it shared with or donated to
/// a guest. Rights and the access flag are not in it; they live in EL2's page table alone.
@frozen
public struct Mapping: Hashable, Sendable {
  /// The first guest frame.
  public var gfn: GFN
  /// The first host frame, nil where it is not known.
  public var pfn: PFN?
  /// How many pages it covers: 1 or a PMD's worth (`nr_pages`).
  public var pages: UInt64
  /// It was made as device memory, or as normal memory that is not cacheable (`nc`).
  public var isNonCacheable: Bool

  /// A mapping of `pages` frames from `gfn`.
  @inlinable
  public init(gfn: GFN, pfn: PFN?, pages: UInt64, isNonCacheable: Bool = false) {
    self.gfn = gfn
    self.pfn = pfn
    self.pages = pages
    self.isNonCacheable = isNonCacheable
  }

  /// The last guest frame, inclusive.
  @inlinable
  public var last: GFN { GFN(gfn.rawValue + pages - 1) }
}

/// A node of a mapping tree, valid until the mapping is removed.
@frozen
public struct MappingID: Hashable, Sendable {
  /// The node's address, never 0: it names a node and says nothing else.
  public var rawValue: UInt

  @inlinable
  init(_ rawValue: UInt) { self.rawValue = rawValue }

  /// nil for address 0, which names no node.
  @inline(__always)
  static func unlessNone(_ rawValue: NodeAddress) -> MappingID? {
    rawValue == 0 ? nil : MappingID(rawValue)
  }
}

/// What searches in a tree have cost.
@frozen
public struct MappingTreeCounters: Hashable, Sendable {
  /// Searches from the root: insertions and range look-ups.
  public var descents: UInt64 = 0
  /// Nodes that descents and steps to the next mapping stopped at.
  public var nodesVisited: UInt64 = 0
  /// Look-ups that the root's subtree-last or the leftmost node answered at once (interval tree only).
  public var quickRejects: UInt64 = 0
  /// Single rotations of balancing.
  public var rotations: UInt64 = 0
}

/// How deep a tree's nodes lie; the root has depth 1.
@frozen
public struct MappingTreeDepth: Hashable, Sendable {
  /// The deepest node's depth, 0 for an empty tree.
  public var max: Int
  /// The mean over all nodes, 0 for an empty tree.
  public var mean: Double
}
