/// Checks that are too slow for every operation: for tests, and for callers that ask.

/// A tree that is not what it must be, described with the place.
struct TreeViolation: Error {
  let description: String

  init(_ description: String) { self.description = description }
}

extension RBTree {
  /// Walks the whole tree: parents, colours, equal black heights, order and count.
  ///
  /// - Parameters:
  ///   - inOrder: whether a node may follow another.
  ///   - check: what else must hold at a node, given all children.
  func checkInvariants(
    inOrder: (Node, Node) -> Bool, check: (Nodes, NodeAddress) throws(TreeViolation) -> Void
  ) throws(TreeViolation) {
    guard root != 0 else {
      if count != 0 { throw TreeViolation("the tree is empty but counts \(count) nodes") }
      return
    }
    let nodes = self.nodes
    if nodes.isRed(root) { throw TreeViolation("the root is red") }
    if nodes.parent(root) != 0 { throw TreeViolation("the root has a parent") }
    var seen = 0
    _ = try blackHeight(nodes, root, &seen, check)
    if seen != count { throw TreeViolation("the tree has \(seen) nodes and counts \(count)") }
    var node = first()
    while true {
      let following = next(node)
      if following == 0 { return }
      if !inOrder(nodes[node], nodes[following]) {
        throw TreeViolation("nodes \(node) and \(following) are out of order")
      }
      node = following
    }
  }

  /// Black nodes from `node` down to any missing child, itself included.
  private func blackHeight(
    _ nodes: Nodes, _ node: NodeAddress, _ seen: inout Int,
    _ check: (Nodes, NodeAddress) throws(TreeViolation) -> Void
  ) throws(TreeViolation) -> Int {
    seen += 1
    if seen > count { throw TreeViolation("more nodes are linked than counted: \(count)") }
    var heights = [0, 0]
    for side in [RBSide.left, RBSide.right] {
      let child = nodes.child(node, side)
      guard child != 0 else { continue }
      if nodes.parent(child) != node {
        throw TreeViolation("node \(child) has parent \(nodes.parent(child)), not \(node)")
      }
      if nodes.isRed(node), nodes.isRed(child) {
        throw TreeViolation("red node \(node) has a red child \(child)")
      }
      heights[side] = try blackHeight(nodes, child, &seen, check)
    }
    if heights[0] != heights[1] {
      throw TreeViolation("black heights \(heights[0]) and \(heights[1]) below node \(node)")
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
    var previous: NodeAddress = 0
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
  /// What contradicts a red-black tree: order, colours, black heights, count. Empty where nothing does.
  public borrowing func checkInvariants() -> [String] {
    do throws(TreeViolation) {
      try tree.checkInvariants(inOrder: { $0.gfn < $1.gfn }, check: { _, _ throws(TreeViolation) in })
      return []
    } catch {
      return [error.description]
    }
  }
}

extension MappingIntervalTree {
  /// What contradicts an interval tree: order, colours, black heights, subtree-last, leftmost, count. Empty
  /// where nothing does.
  public borrowing func checkInvariants() -> [String] {
    do throws(TreeViolation) {
      try tree.checkInvariants(
        inOrder: { $0.gfn <= $1.gfn },
        check: { nodes, node throws(TreeViolation) in
          let expected = SubtreeLast.computed(nodes, node)
          if nodes[node].subtreeLast != expected {
            throw TreeViolation(
              "subtree-last of node \(node) is \(nodes[node].subtreeLast), not \(expected)")
          }
        })
    } catch {
      return [error.description]
    }
    return leftmost == tree.first() ? [] : ["leftmost is \(leftmost), not \(tree.first())"]
  }
}
