public import KVMTypes

/// A node of the interval tree: 48 bytes. The kernel's has 56 (`rb_node`, `gfn`, `pfn`, `nr_pages`,
/// `nc`, `__subtree_last`).
///
/// Intervals are kept in frames, not bytes: every mapping begins and ends at a page boundary, so whether two
/// intervals overlap does not change.
struct IntervalMappingNode: RBNode {
  var links = RBLinks()
  let gfn: UInt64
  /// The largest `last` in the subtree of this node (`__subtree_last`).
  var subtreeLast: UInt64
  /// The host frame above a bit for `nc` and 23 bits of page count. Physical addresses have 52 bits, so frames have 40.
  private let pfnAndPages: UInt64

  /// The frame number that stands for "not known".
  private static var unknownFrame: UInt64 { 1 << 40 - 1 }

  init(_ mapping: Mapping) {
    let frame = mapping.pfn?.rawValue ?? Self.unknownFrame
    precondition(frame <= Self.unknownFrame, "a host frame has 40 bits")
    precondition(mapping.pages < Self.nonCacheable, "a mapping covers fewer than 2^23 pages")
    gfn = mapping.gfn.rawValue
    subtreeLast = mapping.last.rawValue
    pfnAndPages = frame << 24 | mapping.pages | (mapping.isNonCacheable ? Self.nonCacheable : 0)
  }

  private static var nonCacheable: UInt64 { 1 << 23 }

  var isNonCacheable: Bool { pfnAndPages & Self.nonCacheable != 0 }

  var pfn: PFN? {
    let frame = pfnAndPages >> 24
    return frame == Self.unknownFrame ? nil : PFN(frame)
  }

  @inline(__always)
  var pages: UInt64 { pfnAndPages & (Self.nonCacheable - 1) }

  /// The last frame, inclusive.
  @inline(__always)
  var last: UInt64 { gfn &+ pages &- 1 }
}

/// Subtree-last, as `INTERVAL_TREE_DEFINE` and `RB_DECLARE_CALLBACKS_MAX` generate it.
enum SubtreeLast: RBAugmentation {
  typealias Node = IntervalMappingNode

  @inline(__always)
  static func computed(_ nodes: RBNodes<Node>, _ node: NodeAddress) -> UInt64 {
    var last = nodes[node].last
    let left = nodes.child(node, RBSide.left)
    if left != 0 { last = max(last, nodes[left].subtreeLast) }
    let right = nodes.child(node, RBSide.right)
    if right != 0 { last = max(last, nodes[right].subtreeLast) }
    return last
  }

  @inline(__always)
  static func propagate(_ nodes: RBNodes<Node>, from node: NodeAddress, to stop: NodeAddress) {
    var node = node
    while node != stop {
      let last = computed(nodes, node)
      // Nothing changed here, so nothing changes above.
      if nodes[node].subtreeLast == last { return }
      nodes[node].subtreeLast = last
      node = nodes.parent(node)
    }
  }

  @inline(__always)
  static func copy(_ nodes: RBNodes<Node>, from old: NodeAddress, to new: NodeAddress) {
    nodes[new].subtreeLast = nodes[old].subtreeLast
  }

  @inline(__always)
  static func rotate(_ nodes: RBNodes<Node>, old: NodeAddress, new: NodeAddress) {
    nodes[new].subtreeLast = nodes[old].subtreeLast
    nodes[old].subtreeLast = computed(nodes, old)
  }
}

/// The mapping tree of Linux 6.16 and later: an interval tree over a red-black tree that remembers its
/// leftmost node (`struct rb_root_cached pkvm_mappings`), ordered by the first frame, equal to the right.
public struct MappingIntervalTree: ~Copyable {
  var tree: RBTree<SubtreeLast>
  /// The first node in order, 0 for an empty tree (`rb_leftmost`).
  private(set) var leftmost: NodeAddress = 0
  private var descents: UInt64 = 0
  private var nodesVisited: UInt64 = 0
  private var quickRejects: UInt64 = 0

  /// An empty tree; memory for `minimumCapacity` mappings is taken at the first insertion.
  public init(minimumCapacity: Int = 0) {
    tree = RBTree(minimumCapacity: minimumCapacity)
  }

  /// How many mappings the tree holds.
  public var count: Int { tree.count }

  /// Bytes of memory behind the tree.
  public var byteCount: Int { tree.arena.byteCount }

  /// What searches have cost so far.
  public var counters: MappingTreeCounters {
    MappingTreeCounters(
      descents: descents, nodesVisited: nodesVisited, quickRejects: quickRejects,
      rotations: tree.rotations)
  }

  /// The first frame of node `id`, for who needs nothing else of it. Mutating, because a call that borrows
  /// copies the tree's fields to the stack.
  public mutating func gfn(of id: MappingID) -> GFN { GFN(tree.nodes[id.rawValue].gfn) }

  /// The mapping of node `id`.
  public subscript(id: MappingID) -> Mapping {
    let node = tree.nodes[id.rawValue]
    return Mapping(
      gfn: GFN(node.gfn), pfn: node.pfn, pages: node.pages, isNonCacheable: node.isNonCacheable)
  }

  /// `pkvm_mapping_insert`: links a mapping, whatever it overlaps.
  @discardableResult
  public mutating func insert(_ mapping: Mapping) -> MappingID {
    let start = mapping.gfn.rawValue
    let last = mapping.last.rawValue
    var parent: NodeAddress = 0
    var side = RBSide.left
    var isLeftmost = -1
    var visited: UInt64 = 0
    descents += 1
    if tree.root != 0 {
      let nodes = tree.nodes
      var link = tree.root
      repeat {
        parent = link
        visited &+= 1
        if nodes[link].subtreeLast < last { nodes[link].subtreeLast = last }
        let goesLeft = maskIfLess(start, nodes[link].gfn)
        side = RBSide.right &+ goesLeft
        isLeftmost &= goesLeft
        link = selected(nodes[link].links.left, nodes[link].links.right, goesLeft)
      } while link != 0
    }
    nodesVisited &+= visited
    let node = tree.arena.allocate()
    tree.nodes[node] = IntervalMappingNode(mapping)
    if isLeftmost != 0 { leftmost = node }
    tree.insert(node, below: parent, side: side)
    return MappingID(node)
  }

  /// `pkvm_mapping_iter_first`: the first mapping that overlaps `first...last`.
  public mutating func iterFirst(from first: GFN, through last: GFN) -> MappingID? {
    let root = tree.root
    descents += 1
    guard root != 0 else { return nil }
    let nodes = tree.nodes
    if nodes[root].subtreeLast < first.rawValue {
      nodesVisited += 1
      quickRejects += 1
      return nil
    }
    if nodes[leftmost].gfn > last.rawValue {
      nodesVisited += 2
      quickRejects += 1
      return nil
    }
    var visited: UInt64 = 0
    let found = Self.subtreeSearch(nodes, root, first.rawValue, last.rawValue, &visited)
    nodesVisited &+= visited
    return .unlessNone(found)
  }

  /// `pkvm_mapping_subtree_search`: the leftmost overlap in the subtree of `node`, whose subtree-last is known
  /// not to lie before `first`.
  @inline(__always)
  private static func subtreeSearch(
    _ nodes: RBNodes<IntervalMappingNode>, _ node: NodeAddress, _ first: UInt64, _ last: UInt64,
    _ visited: inout UInt64
  ) -> NodeAddress {
    var node = node
    while true {
      visited &+= 1
      let left = nodes.child(node, RBSide.left)
      if left != 0, first <= nodes[left].subtreeLast {
        // An overlap to the left exists, or none at all: whatever ends after `first` there begins
        // before everything here.
        node = left
        continue
      }
      guard nodes[node].gfn <= last else { return 0 }
      if first <= nodes[node].last { return node }
      let right = nodes.child(node, RBSide.right)
      guard right != 0, first <= nodes[right].subtreeLast else { return 0 }
      node = right
    }
  }

  /// `pkvm_mapping_iter_next`: the next mapping after `id` that overlaps `first...last`.
  public mutating func iterNext(_ id: MappingID, from first: GFN, through last: GFN) -> MappingID? {
    let nodes = tree.nodes
    var node = id.rawValue
    var right = nodes.child(node, RBSide.right)
    var visited: UInt64 = 0
    defer { nodesVisited &+= visited }
    while true {
      if right != 0, first.rawValue <= nodes[right].subtreeLast {
        return .unlessNone(Self.subtreeSearch(nodes, right, first.rawValue, last.rawValue, &visited))
      }
      // Up to the first ancestor that has this subtree on its left.
      var child: NodeAddress
      repeat {
        child = node
        node = nodes.parent(node)
        if node == 0 { return nil }
        right = nodes.child(node, RBSide.right)
      } while right == child
      visited &+= 1
      if nodes[node].gfn > last.rawValue { return nil }
      if nodes[node].last >= first.rawValue { return MappingID(node) }
    }
  }

  /// `pkvm_mapping_remove`: removes the node `id`, which is invalid afterwards.
  public mutating func remove(_ id: MappingID) {
    if id.rawValue == leftmost { leftmost = tree.next(leftmost) }
    tree.erase(id.rawValue)
  }

  /// Removes everything and keeps the memory.
  public mutating func removeAll() {
    tree.removeAll()
    leftmost = 0
  }

  /// Calls `body` with every mapping in the order of frames.
  public borrowing func forEach(_ body: (MappingID, Mapping) -> Void) {
    var node = leftmost
    while node != 0 {
      body(MappingID(node), self[MappingID(node)])
      node = tree.next(node)
    }
  }

  /// Measures the depth of every node.
  public borrowing func depth() -> MappingTreeDepth { tree.depth() }
}
