/// Checks that are too slow for every operation: for tests, and for callers that ask.

/// A structure that is not what it must be.
public struct InvariantViolation: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong, with the place.
  public var description: String

  /// A violation described by `description`.
  public init(_ description: String) { self.description = description }
}

extension RBTree {
  /// Walks the whole tree: parents, colours, equal black heights, order and count.
  ///
  /// - Parameters:
  ///   - inOrder: whether a node may follow another.
  ///   - check: what else must hold at a node, given all children.
  func checkInvariants(
    inOrder: (Node, Node) -> Bool, check: (Nodes, UInt32) throws(InvariantViolation) -> Void
  ) throws(InvariantViolation) {
    guard root != 0 else {
      if count != 0 { throw InvariantViolation("the tree is empty but counts \(count) nodes") }
      return
    }
    let nodes = self.nodes
    if nodes.isRed(root) { throw InvariantViolation("the root is red") }
    if nodes.parent(root) != 0 { throw InvariantViolation("the root has a parent") }
    var seen = 0
    _ = try blackHeight(nodes, root, &seen, check)
    if seen != count { throw InvariantViolation("the tree has \(seen) nodes and counts \(count)") }
    var node = first()
    while true {
      let following = next(node)
      if following == 0 { return }
      if !inOrder(nodes[node], nodes[following]) {
        throw InvariantViolation("nodes \(node) and \(following) are out of order")
      }
      node = following
    }
  }

  /// Black nodes from `node` down to any missing child, itself included.
  private func blackHeight(
    _ nodes: Nodes, _ node: UInt32, _ seen: inout Int,
    _ check: (Nodes, UInt32) throws(InvariantViolation) -> Void
  ) throws(InvariantViolation) -> Int {
    seen += 1
    if seen > count { throw InvariantViolation("more nodes are linked than counted: \(count)") }
    var heights = [0, 0]
    for side in [RBSide.left, RBSide.right] {
      let child = nodes.child(node, side)
      guard child != 0 else { continue }
      if nodes.parent(child) != node {
        throw InvariantViolation("node \(child) has parent \(nodes.parent(child)), not \(node)")
      }
      if nodes.isRed(node), nodes.isRed(child) {
        throw InvariantViolation("red node \(node) has a red child \(child)")
      }
      heights[side] = try blackHeight(nodes, child, &seen, check)
    }
    if heights[0] != heights[1] {
      throw InvariantViolation("black heights \(heights[0]) and \(heights[1]) below node \(node)")
    }
    try check(nodes, node)
    return heights[0] + (nodes.isRed(node) ? 0 : 1)
  }

  /// Depth of the deepest node and mean depth, in one walk along the parent links.
  func depth() -> MappingTreeDepth {
    guard root != 0 else { return MappingTreeDepth(max: 0, mean: 0) }
    let nodes = self.nodes
    var deepest = 0
    var sum = 0
    var depth = 1
    var node = root
    var previous: UInt32 = 0
    // An Euler tour: where the tour came from tells what is left to do at a node.
    while node != 0 {
      let left = nodes.child(node, RBSide.left)
      let right = nodes.child(node, RBSide.right)
      let parent = nodes.parent(node)
      let here = node
      if previous == parent {
        sum += depth
        deepest = max(deepest, depth)
        node = left != 0 ? left : right != 0 ? right : parent
      } else if previous == left, right != 0 {
        node = right
      } else {
        node = parent
      }
      depth += node == parent ? -1 : 1
      previous = here
    }
    return MappingTreeDepth(max: deepest, mean: Double(sum) / Double(count))
  }
}

extension MappingRBTree {
  /// Throws where order, colours, black heights or the count are not those of a red-black tree.
  public borrowing func checkInvariants() throws(InvariantViolation) {
    try tree.checkInvariants(inOrder: { $0.gfn < $1.gfn }, check: { _, _ throws(InvariantViolation) in })
  }
}

extension MappingIntervalTree {
  /// Throws where order, colours, black heights, subtree-last, leftmost or the count are wrong.
  public borrowing func checkInvariants() throws(InvariantViolation) {
    try tree.checkInvariants(
      inOrder: { $0.gfn <= $1.gfn },
      check: { nodes, index throws(InvariantViolation) in
        let expected = SubtreeLast.computed(nodes, index)
        if nodes[index].subtreeLast != expected {
          throw InvariantViolation(
            "subtree-last of node \(index) is \(nodes[index].subtreeLast), not \(expected)")
        }
      })
    if leftmost != tree.first() {
      throw InvariantViolation("leftmost is \(leftmost), not \(tree.first())")
    }
  }
}
