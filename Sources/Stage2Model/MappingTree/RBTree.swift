/// The red-black balancing of `lib/rbtree.c`, shared by the plain and the interval tree.
///
/// The shape of the tree is part of what is modelled (depth and visited nodes cost the kernel time under
/// `mmu_lock`), so insertion and removal do the kernel's rotations in the kernel's order: insertion
/// recolours upwards and ends with at most two rotations; removal replaces a node of two children by its
/// in-order successor and repairs the missing black with at most three.
///
/// The cases are written once for both sides of the mirror: `side` is where the node hangs and
/// `1 - side` the other one.

/// What a tree keeps per subtree (`struct rb_augment_callbacks`). Every call is static on a concrete type, so
/// the policy of the plain tree leaves no instruction behind.
protocol RBAugmentation {
  associatedtype Node: RBNode

  /// Recomputes from `node` up to, not including, `stop` (0: through the root).
  static func propagate(_ nodes: RBNodes<Node>, from node: NodeAddress, to stop: NodeAddress)

  /// `new` takes the place of `old` with the same subtree.
  static func copy(_ nodes: RBNodes<Node>, from old: NodeAddress, to new: NodeAddress)

  /// `new` was rotated above `old`.
  static func rotate(_ nodes: RBNodes<Node>, old: NodeAddress, new: NodeAddress)
}

/// A tree's root and its nodes. Ordering and search are the users' (`MappingRBTree`, `MappingIntervalTree`).
struct RBTree<Augmentation: RBAugmentation>: ~Copyable {
  typealias Node = Augmentation.Node
  typealias Nodes = RBNodes<Node>

  var arena: RBNodeArena<Node>
  /// The root, 0 for an empty tree.
  private(set) var root: NodeAddress = 0
  private(set) var count = 0
  /// Single rotations done so far by insertion and removal.
  private(set) var rotations: UInt64 = 0

  init(minimumCapacity: Int) {
    arena = RBNodeArena(minimumCapacity: minimumCapacity)
  }

  @inline(__always)
  var nodes: Nodes { arena.nodes }

  mutating func removeAll() {
    arena.removeAll()
    root = 0
    count = 0
  }

  /// `__rb_change_child`.
  @inline(__always)
  private mutating func changeChild(
    _ nodes: Nodes, _ old: NodeAddress, to new: NodeAddress, below parent: NodeAddress
  ) {
    if parent == 0 {
      root = new
    } else {
      nodes.setChild(parent, nodes.child(parent, RBSide.left) == old ? RBSide.left : RBSide.right, new)
    }
  }

  /// `__rb_rotate_set_parents`: `new` takes `old`'s parent and colour, `old` hangs below it in `color`.
  @inline(__always)
  private mutating func rotateSetParents(
    _ nodes: Nodes, old: NodeAddress, new: NodeAddress, color: NodeAddress
  ) {
    let parentAndColor = nodes.parentAndColor(old)
    nodes.setParentAndColor(new, parentAndColor)
    nodes.setParent(old, new, color: color)
    changeChild(nodes, old, to: new, below: parentAndColor & ~1)
  }

  // MARK: Insertion

  /// `rb_link_node` and `rb_insert_augmented`: hangs the new node below `parent` and rebalances.
  ///
  /// The caller has raised the augmentation of the ancestors already.
  @inline(__always)
  mutating func insert(_ node: NodeAddress, below parent: NodeAddress, side: Int) {
    let nodes = self.nodes
    count += 1
    if parent == 0 {
      nodes.setParent(node, 0, color: RBColor.black)
      root = node
      return
    }
    nodes.setParent(node, parent, color: RBColor.red)
    nodes.setChild(parent, side, node)
    if nodes.isRed(parent) { rebalanceAfterInsert(nodes, node, parent) }
  }

  /// `__rb_insert`, entered with a red `node` below a red `parent`.
  private mutating func rebalanceAfterInsert(_ nodes: Nodes, _ node: NodeAddress, _ parent: NodeAddress) {
    var node = node
    var parent = parent
    while true {
      // A red parent is never the root, so there is a grandparent, and it is black.
      let grandparent = nodes.parent(parent)
      // The step is compiled once for each side: a constant side costs nothing, a computed one delays loads.
      let goesOn =
        nodes.child(grandparent, RBSide.left) == parent
        ? rebalanceStep(nodes, &node, &parent, grandparent, side: RBSide.left)
        : rebalanceStep(nodes, &node, &parent, grandparent, side: RBSide.right)
      if !goesOn { return }
    }
  }

  /// One round of `__rb_insert` with the parent on `side` of the grandparent. False when the tree is balanced.
  @inline(__always)
  private mutating func rebalanceStep(
    _ nodes: Nodes, _ node: inout NodeAddress, _ parent: inout NodeAddress, _ grandparent: NodeAddress,
    side: Int
  ) -> Bool {
    let uncle = nodes.child(grandparent, 1 - side)
    if nodes.isRed(uncle) {
      // Both children of the grandparent turn black, the conflict moves two levels up.
      nodes.setParent(uncle, grandparent, color: RBColor.black)
      nodes.setParent(parent, grandparent, color: RBColor.black)
      node = grandparent
      parent = nodes.parent(node)
      if parent == 0 {
        nodes.setParent(node, 0, color: RBColor.black)
        return false
      }
      nodes.setParent(node, parent, color: RBColor.red)
      return nodes.isRed(parent)
    }
    var inner = nodes.child(parent, 1 - side)
    if inner == node {
      // The node is an inner grandchild: rotate it outwards.
      inner = nodes.child(node, side)
      nodes.setChild(parent, 1 - side, inner)
      nodes.setChild(node, side, parent)
      if inner != 0 { nodes.setParent(inner, parent, color: RBColor.black) }
      nodes.setParent(parent, node, color: RBColor.red)
      Augmentation.rotate(nodes, old: parent, new: node)
      rotations += 1
      parent = node
      inner = nodes.child(node, 1 - side)
    }
    // The parent rises above the grandparent.
    nodes.setChild(grandparent, side, inner)
    nodes.setChild(parent, 1 - side, grandparent)
    if inner != 0 { nodes.setParent(inner, grandparent, color: RBColor.black) }
    rotateSetParents(nodes, old: grandparent, new: parent, color: RBColor.red)
    Augmentation.rotate(nodes, old: grandparent, new: parent)
    rotations += 1
    return false
  }

  // MARK: Removal

  /// `rb_erase_augmented`: unlinks `node` and gives its slot back.
  mutating func erase(_ node: NodeAddress) {
    let nodes = self.nodes
    let rebalance = unlink(nodes, node)
    if rebalance != 0 { rebalanceAfterErase(nodes, rebalance) }
    count -= 1
    arena.free(node)
  }

  /// `__rb_erase_augmented`: returns the parent of a place that now lacks a black node, 0 if none does.
  @inline(__always)
  private mutating func unlink(_ nodes: Nodes, _ node: NodeAddress) -> NodeAddress {
    let left = nodes.child(node, RBSide.left)
    let right = nodes.child(node, RBSide.right)
    let parentAndColor = nodes.parentAndColor(node)
    if left == 0 || right == 0 {
      // At most one child, which is red if it exists: it takes the node's place and colour.
      let child = left == 0 ? right : left
      let parent = parentAndColor & ~1
      changeChild(nodes, node, to: child, below: parent)
      var rebalance: NodeAddress = 0
      if child != 0 {
        nodes.setParentAndColor(child, parentAndColor)
      } else if parentAndColor & 1 == RBColor.black {
        rebalance = parent
      }
      Augmentation.propagate(nodes, from: parent, to: 0)
      return rebalance
    }

    // Two children: the in-order successor takes the node's place, its right child takes its own.
    var successor = right
    var parent = right
    let orphan: NodeAddress
    var next = nodes.child(right, RBSide.left)
    if next == 0 {
      orphan = nodes.child(successor, RBSide.right)
      Augmentation.copy(nodes, from: node, to: successor)
    } else {
      repeat {
        parent = successor
        successor = next
        next = nodes.child(next, RBSide.left)
      } while next != 0
      orphan = nodes.child(successor, RBSide.right)
      nodes.setChild(parent, RBSide.left, orphan)
      nodes.setChild(successor, RBSide.right, right)
      nodes.setParent(right, successor)
      Augmentation.copy(nodes, from: node, to: successor)
      Augmentation.propagate(nodes, from: parent, to: successor)
    }
    nodes.setChild(successor, RBSide.left, left)
    nodes.setParent(left, successor)
    changeChild(nodes, node, to: successor, below: parentAndColor & ~1)
    var rebalance: NodeAddress = 0
    if orphan != 0 {
      nodes.setParent(orphan, parent, color: RBColor.black)
    } else if nodes.parentAndColor(successor) & 1 == RBColor.black {
      rebalance = parent
    }
    nodes.setParentAndColor(successor, parentAndColor)
    Augmentation.propagate(nodes, from: successor, to: 0)
    return rebalance
  }

  /// `____rb_erase_color`: paths through one child of `parent` have one black node less than the others.
  private mutating func rebalanceAfterErase(_ nodes: Nodes, _ parent: NodeAddress) {
    var parent = parent
    // The deficient child. At first it is a missing one: then both children of the parent could only be
    // missing if the tree had been unbalanced before, so comparing with the right one tells the side.
    var node: NodeAddress = 0
    while true {
      let side = nodes.child(parent, RBSide.right) == node ? RBSide.right : RBSide.left
      let far = 1 - side
      var sibling = nodes.child(parent, far)
      if nodes.isRed(sibling) {
        // Rotate the red sibling above the parent: the new sibling is black.
        let inner = nodes.child(sibling, side)
        nodes.setChild(parent, far, inner)
        nodes.setChild(sibling, side, parent)
        nodes.setParent(inner, parent, color: RBColor.black)
        rotateSetParents(nodes, old: parent, new: sibling, color: RBColor.red)
        Augmentation.rotate(nodes, old: parent, new: sibling)
        rotations += 1
        sibling = inner
      }
      var outer = nodes.child(sibling, far)
      if !nodes.isRed(outer) {
        let inner = nodes.child(sibling, side)
        if !nodes.isRed(inner) {
          // The sibling turns red: both sides lack one black, unless a red parent can turn black.
          nodes.setParent(sibling, parent, color: RBColor.red)
          if nodes.isRed(parent) {
            nodes.setParent(parent, nodes.parent(parent), color: RBColor.black)
            return
          }
          node = parent
          parent = nodes.parent(node)
          if parent == 0 { return }
          continue
        }
        // Rotate the red inner nephew above the sibling.
        let moved = nodes.child(inner, far)
        nodes.setChild(sibling, side, moved)
        nodes.setChild(inner, far, sibling)
        nodes.setChild(parent, far, inner)
        if moved != 0 { nodes.setParent(moved, sibling, color: RBColor.black) }
        Augmentation.rotate(nodes, old: sibling, new: inner)
        rotations += 1
        outer = sibling
        sibling = inner
      }
      // Rotate the sibling above the parent; its outer child turns black.
      let inner = nodes.child(sibling, side)
      nodes.setChild(parent, far, inner)
      nodes.setChild(sibling, side, parent)
      nodes.setParent(outer, sibling, color: RBColor.black)
      if inner != 0 { nodes.setParent(inner, parent) }
      rotateSetParents(nodes, old: parent, new: sibling, color: RBColor.black)
      Augmentation.rotate(nodes, old: parent, new: sibling)
      rotations += 1
      return
    }
  }

  // MARK: Order

  /// `rb_first`.
  func first() -> NodeAddress {
    var node = root
    guard node != 0 else { return 0 }
    let nodes = self.nodes
    while true {
      let left = nodes.child(node, RBSide.left)
      if left == 0 { return node }
      node = left
    }
  }

  /// `rb_next`: the in-order successor, 0 after the last node.
  @inline(__always)
  func next(_ node: NodeAddress) -> NodeAddress {
    let nodes = self.nodes
    var node = node
    var child = nodes.child(node, RBSide.right)
    if child != 0 {
      while true {
        let left = nodes.child(child, RBSide.left)
        if left == 0 { return child }
        child = left
      }
    }
    while true {
      let parent = nodes.parent(node)
      if parent == 0 || nodes.child(parent, RBSide.right) != node { return parent }
      node = parent
    }
  }
}

// Going down, a node's key decides which child is next, and nobody can guess it. A branch would be wrong half
// of the time; a load at a computed index would wait for the comparison. So both links are loaded together
// with the key and one is selected by a mask, in a form that the compiler does not turn into a branch.

/// All ones where `a` is less than `b`, else 0. Frame numbers are far below 2^63.
@inline(__always)
func maskIfLess(_ a: UInt64, _ b: UInt64) -> Int { Int(truncatingIfNeeded: a &- b) >> 63 }

/// `ones` where `mask` is all ones, `zeros` where it is 0.
@inline(__always)
func selected(_ ones: NodeAddress, _ zeros: NodeAddress, _ mask: Int) -> NodeAddress {
  zeros ^ ((ones ^ zeros) & NodeAddress(truncatingIfNeeded: mask))
}
