public import KVMTypes

/// A node of the plain tree: 40 bytes, like the kernel's (`rb_node`, `gfn`, `pfn`).
struct PageMappingNode: RBNode {
  var links = RBLinks()
  let gfn: UInt64
  private let frame: UInt64

  init(gfn: UInt64, pfn: PFN?) {
    self.gfn = gfn
    frame = pfn?.rawValue ?? .max
  }

  var pfn: PFN? { frame == .max ? nil : PFN(frame) }
}

/// The plain tree keeps nothing per subtree.
enum NoAugmentation: RBAugmentation {
  typealias Node = PageMappingNode
  @inline(__always) static func propagate(_: RBNodes<Node>, from _: NodeAddress, to _: NodeAddress) {}
  @inline(__always) static func copy(_: RBNodes<Node>, from _: NodeAddress, to _: NodeAddress) {}
  @inline(__always) static func rotate(_: RBNodes<Node>, old _: NodeAddress, new _: NodeAddress) {}
}

/// The mapping tree of Linux 6.14 and 6.15 and of the series before: a red-black tree keyed by guest frame
/// with one node a page (`pkvm_mappings` as a plain `struct rb_root`).
public struct MappingRBTree: ~Copyable {
  var tree: RBTree<NoAugmentation>
  private var descents: UInt64 = 0
  private var nodesVisited: UInt64 = 0

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
      descents: descents, nodesVisited: nodesVisited, quickRejects: 0, rotations: tree.rotations)
  }

  /// The first frame of node `id`, for who needs nothing else of it. Mutating, because a call that borrows
  /// copies the tree's fields to the stack.
  public mutating func gfn(of id: MappingID) -> GFN { GFN(tree.nodes[id.rawValue].gfn) }

  /// The mapping of node `id`.
  public subscript(id: MappingID) -> Mapping {
    let node = tree.nodes[id.rawValue]
    return Mapping(gfn: GFN(node.gfn), pfn: node.pfn, pages: 1)
  }

  /// `rb_find_add` with `cmp_mappings`: nil where the frame already has a node, which then stays as it is.
  @discardableResult
  public mutating func insert(_ gfn: GFN, pfn: PFN?) -> MappingID? {
    let key = gfn.rawValue
    var parent: NodeAddress = 0
    var side = RBSide.left
    var visited: UInt64 = 0
    descents += 1
    if tree.root != 0 {
      let nodes = tree.nodes
      var link = tree.root
      repeat {
        parent = link
        visited &+= 1
        let other = nodes[link].gfn
        if key == other {
          nodesVisited &+= visited
          return nil
        }
        let goesLeft = maskIfLess(key, other)
        side = RBSide.right &+ goesLeft
        link = selected(nodes[link].links.left, nodes[link].links.right, goesLeft)
      } while link != 0
    }
    nodesVisited &+= visited
    let node = tree.arena.allocate()
    tree.nodes[node] = PageMappingNode(gfn: key, pfn: pfn)
    tree.insert(node, below: parent, side: side)
    return MappingID(node)
  }

  /// `find_first_mapping_node`: the node of `gfn`, else of the smallest frame above it.
  public mutating func findFirst(from gfn: GFN) -> MappingID? {
    var node = tree.root
    descents += 1
    guard node != 0 else { return nil }
    let nodes = tree.nodes
    let key = min(gfn.rawValue, .max >> 1)
    var next: NodeAddress = 0
    var visited: UInt64 = 0
    while node != 0 {
      visited &+= 1
      let other = nodes[node].gfn
      if key == other {
        next = node
        break
      }
      let goesLeft = maskIfLess(key, other)
      next = selected(node, next, goesLeft)
      node = selected(nodes[node].links.left, nodes[node].links.right, goesLeft)
    }
    nodesVisited &+= visited
    return .unlessNone(next)
  }

  /// The first mapping of a frame in `first...last`.
  public mutating func iterFirst(from first: GFN, through last: GFN) -> MappingID? {
    guard let id = findFirst(from: first), tree.nodes[id.rawValue].gfn <= last.rawValue else { return nil }
    return id
  }

  /// The mapping after `id` (`rb_next`) unless it lies beyond `last`.
  public mutating func iterNext(_ id: MappingID, through last: GFN) -> MappingID? {
    let next = tree.next(id.rawValue)
    guard next != 0 else { return nil }
    nodesVisited &+= 1
    return tree.nodes[next].gfn <= last.rawValue ? MappingID(next) : nil
  }

  /// `rb_erase`: removes the node `id`, which is invalid afterwards.
  public mutating func remove(_ id: MappingID) { tree.erase(id.rawValue) }

  /// Removes everything and keeps the memory.
  public mutating func removeAll() { tree.removeAll() }

  /// Calls `body` with every mapping in the order of frames.
  public borrowing func forEach(_ body: (MappingID, Mapping) -> Void) {
    var node = tree.first()
    while node != 0 {
      body(MappingID(node), self[MappingID(node)])
      node = tree.next(node)
    }
  }

  /// Measures the depth of every node.
  public borrowing func depth() -> MappingTreeDepth { tree.depth() }
}
