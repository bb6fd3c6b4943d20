/// The storage of a red-black tree's nodes: one growing block of memory, nodes named by 32-bit indices.
///
/// The kernel links `struct rb_node` with pointers. An index is half the size, so a mapping fits 40 bytes
/// instead of 56, and nothing here is reference-counted.
///
/// This file and nothing else in the trees touches raw memory. The invariants that make it safe:
/// - `Node` begins with an `RBLinks`; the arena reads and writes links through that prefix.
/// - Index 0 means "no node". Slot 0 is allocated and never handed out.
/// - An index is valid from `allocate()` to `free(_:)`. Trees hold only valid indices in links, and hand
///   out an index only as long as the node is linked.
/// - An `RBNodes` view dies at the next `allocate()`, which may move the block.

/// The links of a node: `struct rb_node`.
struct RBLinks: BitwiseCopyable {
  /// The parent's index, shifted left by one, and the colour in bit 0 (`__rb_parent_color`).
  var parentAndColor: UInt32 = 0
  /// The left child.
  var left: UInt32 = 0
  /// The right child.
  var right: UInt32 = 0
}

/// A node type of the arena.
protocol RBNode: BitwiseCopyable {
  /// The links, which must be the first stored property.
  var links: RBLinks { get set }
}

/// The colour of a node (`RB_RED`, `RB_BLACK`).
enum RBColor {
  @inline(__always) static var red: UInt32 { 0 }
  @inline(__always) static var black: UInt32 { 1 }
}

/// Which child: the balancing is written once for both mirror images.
enum RBSide {
  @inline(__always) static var left: Int { 0 }
  @inline(__always) static var right: Int { 1 }
}

/// A borrowed view of an arena's memory, trivially copyable so that loops keep the base in a register.
struct RBNodes<Node: RBNode> {
  private let base: UnsafeMutablePointer<Node>

  @inline(__always)
  fileprivate init(_ base: UnsafeMutablePointer<Node>) { self.base = base }

  /// The node `index`.
  @inline(__always)
  subscript(index: UInt32) -> Node {
    unsafeAddress { UnsafePointer(base + Int(index)) }
    nonmutating unsafeMutableAddress { base + Int(index) }
  }

  @inline(__always)
  private func word(_ index: UInt32, _ number: Int) -> UnsafeMutablePointer<UInt32> {
    UnsafeMutableRawPointer(base + Int(index)).assumingMemoryBound(to: UInt32.self) + number
  }

  /// The child of `index` on `side`, 0 for none.
  @inline(__always)
  func child(_ index: UInt32, _ side: Int) -> UInt32 { word(index, 1 + side).pointee }

  /// Links `child` below `index` on `side`; the child's own parent link is the caller's.
  @inline(__always)
  func setChild(_ index: UInt32, _ side: Int, _ child: UInt32) { word(index, 1 + side).pointee = child }

  /// Parent and colour as stored.
  @inline(__always)
  func parentAndColor(_ index: UInt32) -> UInt32 { word(index, 0).pointee }

  /// Stores parent and colour in one go.
  @inline(__always)
  func setParentAndColor(_ index: UInt32, _ value: UInt32) { word(index, 0).pointee = value }

  /// The parent of `index`, 0 for the root.
  @inline(__always)
  func parent(_ index: UInt32) -> UInt32 { word(index, 0).pointee >> 1 }

  /// `rb_set_parent_color`.
  @inline(__always)
  func setParent(_ index: UInt32, _ parent: UInt32, color: UInt32) {
    word(index, 0).pointee = parent << 1 | color
  }

  /// `rb_set_parent`: keeps the colour.
  @inline(__always)
  func setParent(_ index: UInt32, _ parent: UInt32) {
    word(index, 0).pointee = parent << 1 | (word(index, 0).pointee & 1)
  }

  /// Whether `index` is a red node; none is black.
  @inline(__always)
  func isRed(_ index: UInt32) -> Bool { index != 0 && word(index, 0).pointee & 1 == RBColor.red }
}

/// The owner of the memory.
struct RBNodeArena<Node: RBNode>: ~Copyable {
  private var base: UnsafeMutablePointer<Node>?
  private var capacity: Int
  /// Slots ever handed out, slot 0 included.
  private var used: UInt32 = 1
  /// The most recently freed slot; freed slots are chained through `links.left`.
  private var freeHead: UInt32 = 0

  /// An arena that takes no memory before the first node, and then for `minimumCapacity` nodes at least.
  init(minimumCapacity: Int) {
    base = nil
    capacity = minimumCapacity
  }

  deinit {
    if let base { UnsafeMutableRawPointer(base).deallocate() }
  }

  /// The nodes. Empty arenas have no view: callers test their root first.
  @inline(__always)
  var nodes: RBNodes<Node> { RBNodes(base.unsafelyUnwrapped) }

  /// Bytes of memory that the arena holds.
  var byteCount: Int { base == nil ? 0 : capacity * MemoryLayout<Node>.stride }

  /// A slot for a node. Views taken before are invalid afterwards.
  @inline(__always)
  mutating func allocate() -> UInt32 {
    if freeHead != 0 {
      let index = freeHead
      freeHead = nodes[index].links.left
      return index
    }
    if base == nil || Int(used) == capacity { grow() }
    defer { used += 1 }
    return used
  }

  /// Gives a slot back. The last one freed is the first one reused, as in a slab's free list.
  @inline(__always)
  mutating func free(_ index: UInt32) {
    nodes[index].links = RBLinks(left: freeHead)
    freeHead = index
  }

  /// Forgets every node and keeps the memory.
  mutating func removeAll() {
    used = 1
    freeHead = 0
  }

  @inline(never)
  private mutating func grow() {
    let wanted = base == nil ? max(capacity, 64) : capacity * 2
    // Parent links hold 31 bits of index.
    precondition(wanted <= 1 << 31, "a mapping tree holds at most 2^31 nodes")
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: wanted * MemoryLayout<Node>.stride, alignment: Self.alignment
    ).bindMemory(to: Node.self, capacity: wanted)
    if let old = base {
      memory.update(from: old, count: Int(used))
      UnsafeMutableRawPointer(old).deallocate()
    }
    base = memory
    capacity = wanted
  }

  /// Nodes of 32 bytes then never straddle a cache line.
  private static var alignment: Int { 64 }
}
