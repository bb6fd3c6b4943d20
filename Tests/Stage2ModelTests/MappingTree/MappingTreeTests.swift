import KVMTypes
import Testing

@testable import Stage2Model

/// The kernel-shaped trees against hand-worked shapes.
struct MappingTreeTests {
  @Test func emptyTreesFindNothing() throws {
    var interval = MappingIntervalTree()
    let overlap = interval.iterFirst(from: GFN(0), through: GFN(.max))
    #expect(overlap == nil)
    check(interval.checkInvariants(), [])
    #expect(interval.depth() == MappingTreeDepth(max: 0, mean: 0))
    var plain = MappingRBTree()
    let next = plain.findFirst(from: GFN(0))
    #expect(next == nil)
    check(plain.checkInvariants(), [])
    #expect(plain.byteCount == 0)
  }

  @Test func nodesFitTheirBudget() {
    #expect(MemoryLayout<PageMappingNode>.stride == 40)
    #expect(MemoryLayout<IntervalMappingNode>.stride == 48)
  }

  /// Ascending keys recolour at 4 and 6 and rotate at 3, 5 and 7.
  @Test func ascendingInsertion() throws {
    var tree = MappingRBTree()
    for gfn in 1...7 as ClosedRange<UInt64> { tree.insert(GFN(gfn), pfn: nil) }
    check(tree.checkInvariants(), [])
    #expect(tree.shape() == "((1b)2b((3b)4r((5r)6b(7r))))")
    #expect(tree.counters.rotations == 3)
    #expect(tree.depth() == MappingTreeDepth(max: 4, mean: 19.0 / 7))
  }

  /// The mirror image: one algorithm serves both sides.
  @Test func descendingInsertion() throws {
    var tree = MappingRBTree()
    for gfn in (1...7 as ClosedRange<UInt64>).reversed() { tree.insert(GFN(gfn), pfn: nil) }
    check(tree.checkInvariants(), [])
    #expect(tree.shape() == "((((1r)2b(3r))4r(5b))6b(7b))")
  }

  /// An inner grandchild is rotated outwards first: two rotations.
  @Test func innerGrandchild() throws {
    var tree = MappingRBTree()
    for gfn in [1, 3, 2] as [UInt64] { tree.insert(GFN(gfn), pfn: nil) }
    #expect(tree.shape() == "((1r)2b(3r))")
    #expect(tree.counters.rotations == 2)
  }

  /// A node of two children is replaced by its successor, not its predecessor.
  @Test func removalTakesTheSuccessor() throws {
    var tree = MappingRBTree()
    for gfn in 1...7 as ClosedRange<UInt64> { tree.insert(GFN(gfn), pfn: nil) }
    tree.removeFirst(from: 4)
    check(tree.checkInvariants(), [])
    #expect(tree.shape() == "((1b)2b((3b)5r(6b(7r))))")
    tree.removeFirst(from: 2)
    check(tree.checkInvariants(), [])
    #expect(tree.shape() == "((1b)3b((5b)6r(7b)))")
  }

  /// `find_first_mapping_node`: the frame itself, else the next above.
  @Test func findFirstMappingNode() throws {
    var tree = MappingRBTree()
    for gfn in [10, 20, 30] as [UInt64] { tree.insert(GFN(gfn), pfn: PFN(gfn)) }
    var answers: [Mapping?] = []
    for gfn in [0, 20, 21, 31] as [UInt64] { answers.append(tree.first(from: gfn)) }
    #expect(answers.map { $0?.gfn } == [GFN(10), GFN(20), GFN(30), nil])
    #expect(answers[1] == Mapping(gfn: GFN(20), pfn: PFN(20), pages: 1))
    let between = tree.iterFirst(from: GFN(21), through: GFN(29))
    #expect(between == nil)
  }

  /// `rb_find_add`: a second node for a frame is refused.
  @Test func plainTreeRefusesDuplicates() throws {
    var tree = MappingRBTree()
    let first = tree.insert(GFN(1), pfn: PFN(1))
    let second = tree.insert(GFN(1), pfn: PFN(2))
    #expect(first != nil)
    #expect(second == nil)
    let kept = tree.first(from: 1)
    #expect(kept == Mapping(gfn: GFN(1), pfn: PFN(1), pages: 1))
  }

  /// The interval tree takes equal starts and puts the later one to the right.
  @Test func equalGoesRight() throws {
    var tree = MappingIntervalTree()
    tree.insert(Mapping(gfn: GFN(8), pfn: PFN(1), pages: 1))
    tree.insert(Mapping(gfn: GFN(8), pfn: PFN(2), pages: 4))
    check(tree.checkInvariants(), [])
    let found = tree.overlaps(8, 8).map(\.pfn)
    #expect(found == [PFN(1), PFN(2)])
  }

  /// Overlap by one page finds a block whole, at both ends.
  @Test func blocksOverlapAtTheirEnds() throws {
    var tree = MappingIntervalTree()
    tree.insert(Mapping(gfn: GFN(512), pfn: nil, pages: 512))
    var counts: [Int] = []
    for (first, last) in [(0, 511), (0, 512), (1023, 4000), (1024, 4000)] as [(UInt64, UInt64)] {
      counts.append(tree.overlaps(first, last).count)
    }
    #expect(counts == [0, 1, 1, 0])
  }

  /// Beyond the root's subtree-last one node is looked at, before the leftmost two.
  @Test func quickRejects() throws {
    var tree = MappingIntervalTree()
    for gfn in 100..<200 as Range<UInt64> { tree.insert(Mapping(gfn: GFN(gfn), pfn: nil, pages: 1)) }
    let before = tree.counters
    let above = tree.overlaps(200, .max)
    let visitedAbove = tree.counters.nodesVisited - before.nodesVisited
    let below = tree.overlaps(0, 99)
    let after = tree.counters
    #expect(above.isEmpty && below.isEmpty)
    #expect(visitedAbove == 1)
    #expect(after.nodesVisited == before.nodesVisited + 3)
    #expect(after.quickRejects == before.quickRejects + 2)
  }

  /// A slot freed is reused, and the leftmost node follows removals.
  @Test func leftmostFollowsRemoval() throws {
    var tree = MappingIntervalTree()
    var ids: [MappingID] = []
    for gfn in 0..<5 as Range<UInt64> {
      ids.append(tree.insert(Mapping(gfn: GFN(gfn), pfn: nil, pages: 1)))
    }
    for id in ids.dropLast() {
      tree.remove(id)
      check(tree.checkInvariants(), [])
    }
    let again = tree.insert(Mapping(gfn: GFN(77), pfn: nil, pages: 1))
    #expect(again == ids[3])
    tree.removeAll()
    check(tree.checkInvariants(), [])
  }
}

extension RBTree {
  /// The tree in one line: `(left key colour right)`.
  func shape(key: (Node) -> UInt64) -> String {
    func text(_ node: NodeAddress) -> String {
      guard node != 0 else { return "" }
      let left = text(nodes.child(node, RBSide.left))
      let right = text(nodes.child(node, RBSide.right))
      return "(\(left)\(key(nodes[node]))\(nodes.isRed(node) ? "r" : "b")\(right))"
    }
    return text(root)
  }
}

extension MappingRBTree {
  func shape() -> String { tree.shape { $0.gfn } }

  mutating func first(from gfn: UInt64) -> Mapping? { findFirst(from: GFN(gfn)).map { self[$0] } }

  mutating func removeFirst(from gfn: UInt64) {
    if let id = findFirst(from: GFN(gfn)) { remove(id) }
  }
}

extension MappingIntervalTree {
  mutating func overlaps(_ first: UInt64, _ last: UInt64) -> [Mapping] {
    var found: [Mapping] = []
    var id = iterFirst(from: GFN(first), through: GFN(last))
    while let here = id {
      found.append(self[here])
      id = iterNext(here, from: GFN(first), through: GFN(last))
    }
    return found
  }
}
