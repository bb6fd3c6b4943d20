import CTreeBench
import KVMTypes
import Stage2Model

/// What every tree is asked, so that one loop measures all of them. The loop is specialised for each tree.
protocol BenchedTree: ~Copyable {
  associatedtype Node

  mutating func insert(frame: UInt64)

  /// The first mapping that overlaps `first...last`.
  mutating func first(_ first: UInt64, _ last: UInt64) -> Node?

  /// The mapping after `node` that overlaps `first...last`.
  mutating func next(_ node: Node, _ first: UInt64, _ last: UInt64) -> Node?

  mutating func frame(of node: Node) -> UInt64

  mutating func remove(_ node: Node)

  /// Makes an empty tree hand out its memory in the order of addresses again, as at first.
  mutating func straighten()
}

extension MappingIntervalTree: BenchedTree {
  mutating func insert(frame: UInt64) {
    insert(Mapping(gfn: GFN(frame), pfn: PFN(frame & 0xff_ffff_fffe), pages: 1))
  }

  mutating func first(_ first: UInt64, _ last: UInt64) -> MappingID? {
    iterFirst(from: GFN(first), through: GFN(last))
  }

  mutating func next(_ node: MappingID, _ first: UInt64, _ last: UInt64) -> MappingID? {
    iterNext(node, from: GFN(first), through: GFN(last))
  }

  mutating func frame(of node: MappingID) -> UInt64 { gfn(of: node).rawValue }

  mutating func straighten() { removeAll() }
}

extension MappingRBTree: BenchedTree {
  mutating func insert(frame: UInt64) { insert(GFN(frame), pfn: PFN(frame)) }

  mutating func first(_ first: UInt64, _ last: UInt64) -> MappingID? {
    iterFirst(from: GFN(first), through: GFN(last))
  }

  mutating func next(_ node: MappingID, _ first: UInt64, _ last: UInt64) -> MappingID? {
    iterNext(node, through: GFN(last))
  }

  mutating func frame(of node: MappingID) -> UInt64 { gfn(of: node).rawValue }

  mutating func straighten() { removeAll() }
}

/// The same algorithm in C, with pointers and one `malloc` a node.
struct CTree: ~Copyable, BenchedTree {
  private let tree: OpaquePointer

  init(isInterval: Bool) { tree = ctb_create(isInterval ? 1 : 0) }

  deinit { ctb_destroy(tree) }

  mutating func insert(frame: UInt64) { ctb_insert(tree, frame, frame, 1) }

  mutating func first(_ first: UInt64, _ last: UInt64) -> OpaquePointer? { ctb_iter_first(tree, first, last) }

  mutating func next(_ node: OpaquePointer, _ first: UInt64, _ last: UInt64) -> OpaquePointer? {
    ctb_iter_next(tree, node, first, last)
  }

  mutating func frame(of node: OpaquePointer) -> UInt64 { ctb_gfn(node) }

  mutating func remove(_ node: OpaquePointer) { ctb_remove(tree, node) }

  mutating func straighten() { ctb_straighten_heap() }
}
