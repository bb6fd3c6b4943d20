/// The storage of a red-black tree's nodes: blocks of memory that stay where they are, nodes linked by address.
///
/// The kernel links `struct rb_node` with pointers, and so does this. 32-bit indices would take 12 bytes a node
/// less, but a walk in order is a chain of loads in which each has to wait for the one before: the CPU's
/// prefetcher follows what looks like an address, and an index it does not, which costs a walk over a large
/// tree up to twice the time.
///
/// This file and nothing else in the trees touches raw memory. The invariants that make it safe:
/// - `Node` begins with an `RBLinks`; the arena reads and writes links through that prefix.
/// - Address 0 means "no node".
/// - An address is valid from `allocate()` to `free(_:)` or `removeAll()`: blocks are neither moved nor given
///   back while the arena lives. Trees hold only valid addresses in links, and hand out an address only as
///   long as the node is linked.

/// Where a node lies, 0 for no node. An integer, so that one is told from another and selected by arithmetic.
typealias NodeAddress = UInt

/// The links of a node: `struct rb_node`.
struct RBLinks: BitwiseCopyable {
  /// The parent, and the colour in bit 0 (`__rb_parent_color`).
  var parentAndColor: NodeAddress = 0
  /// The left child.
  var left: NodeAddress = 0
  /// The right child.
  var right: NodeAddress = 0
}

/// A node type of the arena.
protocol RBNode: BitwiseCopyable {
  /// The links, which must be the first stored property.
  var links: RBLinks { get set }
}

/// The colour of a node (`RB_RED`, `RB_BLACK`).
enum RBColor {
  @inline(__always) static var red: NodeAddress { 0 }
  @inline(__always) static var black: NodeAddress { 1 }
}

/// Which child: the balancing is written once for both mirror images.
enum RBSide {
  @inline(__always) static var left: Int { 0 }
  @inline(__always) static var right: Int { 1 }
}

/// Access to the nodes of an arena by address.
struct RBNodes<Node: RBNode> {
  @inline(__always)
  fileprivate init() {}

  @inline(__always)
  private func node(_ address: NodeAddress) -> UnsafeMutablePointer<Node> {
    UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  /// The node at `address`.
  @inline(__always)
  subscript(address: NodeAddress) -> Node {
    unsafeAddress { UnsafePointer(node(address)) }
    nonmutating unsafeMutableAddress { node(address) }
  }

  @inline(__always)
  private func word(_ address: NodeAddress, _ number: Int) -> UnsafeMutablePointer<NodeAddress> {
    UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped + number
  }

  /// The child of `node` on `side`, 0 for none.
  @inline(__always)
  func child(_ node: NodeAddress, _ side: Int) -> NodeAddress { word(node, 1 + side).pointee }

  /// Links `child` below `node` on `side`; the child's own parent link is the caller's.
  @inline(__always)
  func setChild(_ node: NodeAddress, _ side: Int, _ child: NodeAddress) {
    word(node, 1 + side).pointee = child
  }

  /// Parent and colour as stored.
  @inline(__always)
  func parentAndColor(_ node: NodeAddress) -> NodeAddress { word(node, 0).pointee }

  /// Stores parent and colour in one go.
  @inline(__always)
  func setParentAndColor(_ node: NodeAddress, _ value: NodeAddress) { word(node, 0).pointee = value }

  /// The parent of `node`, 0 for the root.
  @inline(__always)
  func parent(_ node: NodeAddress) -> NodeAddress { word(node, 0).pointee & ~1 }

  /// `rb_set_parent_color`.
  @inline(__always)
  func setParent(_ node: NodeAddress, _ parent: NodeAddress, color: NodeAddress) {
    word(node, 0).pointee = parent | color
  }

  /// `rb_set_parent`: keeps the colour.
  @inline(__always)
  func setParent(_ node: NodeAddress, _ parent: NodeAddress) {
    word(node, 0).pointee = parent | (word(node, 0).pointee & 1)
  }

  /// Whether `node` is a red node; none is black.
  @inline(__always)
  func isRed(_ node: NodeAddress) -> Bool { node != 0 && word(node, 0).pointee & 1 == RBColor.red }
}

/// The owner of the memory.
struct RBNodeArena<Node: RBNode>: ~Copyable {
  private var blocks: [(start: UnsafeMutableRawPointer, end: UnsafeMutableRawPointer)] = []
  /// How many of the blocks are in use; `removeAll()` keeps the others.
  private var used = 0
  /// Nodes in the first block.
  private let firstCapacity: Int
  /// The slot that is handed out next, and the end of its block.
  private var next: NodeAddress = 0
  private var end: NodeAddress = 0
  /// The most recently freed slot; freed slots are chained through `links.left`.
  private var freeHead: NodeAddress = 0

  /// An arena that takes no memory before the first node, and then for `minimumCapacity` nodes at least.
  init(minimumCapacity: Int) { firstCapacity = max(minimumCapacity, 64) }

  deinit { for block in blocks { block.start.deallocate() } }

  /// The nodes.
  @inline(__always)
  var nodes: RBNodes<Node> { RBNodes() }

  /// Bytes of memory that the arena holds.
  var byteCount: Int { blocks.reduce(0) { $0 + ($1.end - $1.start) } }

  /// A slot for a node.
  @inline(__always)
  mutating func allocate() -> NodeAddress {
    if freeHead != 0 {
      let address = freeHead
      freeHead = nodes[address].links.left
      return address
    }
    if next == end { useNextBlock() }
    defer { next &+= UInt(MemoryLayout<Node>.stride) }
    return next
  }

  /// Gives a slot back. The last one freed is the first one reused, as in a slab's free list.
  @inline(__always)
  mutating func free(_ address: NodeAddress) {
    nodes[address].links = RBLinks(left: freeHead)
    freeHead = address
  }

  /// Forgets every node and keeps the memory.
  mutating func removeAll() {
    used = 0
    next = 0
    end = 0
    freeHead = 0
  }

  @inline(never)
  private mutating func useNextBlock() {
    // The upper nodes of a tree that grew in order lie powers of two apart and would compete for the same few
    // cache sets. Each block begins a cache line later than the one before, as in a slab (`cache_color`).
    let color = used % 64 * 64
    if used == blocks.count {
      // Twice as many as before, up to a size that gives a large tree many blocks.
      let capacity = used == 0 ? firstCapacity : min(firstCapacity << min(used, 16), 2048)
      let bytes = color + capacity * MemoryLayout<Node>.stride
      let start = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
      blocks.append((start, start + bytes))
    }
    next = UInt(bitPattern: blocks[used].start) + UInt(color)
    end = UInt(bitPattern: blocks[used].end)
    used += 1
  }
}
