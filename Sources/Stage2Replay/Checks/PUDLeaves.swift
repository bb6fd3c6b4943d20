internal import KVMTypes

/// What is known of one leaf of level 1, of the tables that took its place, or of both.
struct PUDLeaf {
  /// Where it appeared.
  var installedAt = Sequence.start
  /// Where tables last took its place, or the other way round.
  var resizedAt = Sequence.start
  /// Where an access flag fault last made it young.
  var madeYoungAt = Sequence.start
  /// The epoch of which its knowledge is.
  var epoch = Epoch.never
  /// How it is known.
  var knowledge: LeafKnowledge = []
  /// Logging began since it appeared: KVM may have split it.
  var mayBeSplit = false
}

/// What is known of the leaves of level 1 of a VM. Nothing but hugetlb pages of PUD_SIZE gives one, so that most VMs have none.
struct PUDLeaves {
  private var leaves: [FrameKey: PUDLeaf] = [:]
  private let pageSize: PageSize

  init(pageSize: PageSize) { self.pageSize = pageSize }

  var isEmpty: Bool { leaves.isEmpty }

  private func key(_ page: IPA) -> FrameKey { FrameKey(page.rawValue >> pageSize.levelShift(.l1)) }

  /// What is known of the leaf that maps a page, or did.
  subscript(page: IPA) -> PUDLeaf? { leaves.isEmpty ? nil : leaves[key(page)] }

  /// How the leaf of a page is known, in an epoch: what was established in another one may not hold any more.
  func knowledge(_ page: IPA, in epoch: Epoch) -> LeafKnowledge {
    guard let leaf = self[page] else { return [] }
    return leaf.epoch == epoch ? leaf.knowledge : leaf.knowledge.subtracting(.isEstablished)
  }

  /// Those that KVM may have split, by their first address.
  var toSplit: [IPA] {
    leaves.compactMap { $0.value.mayBeSplit ? IPA($0.key.value * pageSize.granule(.l1)) : nil }
  }

  /// Changes what is known of the leaf that maps a page.
  mutating func update(_ page: IPA, in epoch: Epoch, _ body: (inout PUDLeaf) -> Void) {
    var leaf = leaves[key(page)] ?? PUDLeaf()
    if leaf.epoch != epoch { leaf.knowledge.remove(.isEstablished) }
    leaf.epoch = epoch
    body(&leaf)
    leaves[key(page)] = leaf
  }

  /// Changes what is known of the leaves that frames touch.
  ///
  /// - Returns: those that were an assumption, and that the frames are but a part of, by their first address.
  mutating func update(_ frames: FrameRange, _ body: (inout PUDLeaf) -> Void) -> [IPA] {
    var assumed: [IPA] = []
    let first = frames.start.ipa(pageSize)
    let last = GFN(frames.end.rawValue - 1).ipa(pageSize)
    let bytes = pageSize.granule(.l1)
    for number in leaves.keys where (key(first).value...key(last).value).contains(number.value) {
      let start = IPA(number.value * bytes)
      let isPart = first > start || last.rawValue < start.rawValue + bytes - pageSize.bytes
      if isPart, leaves[number]!.knowledge.contains(.isAssumed) { assumed.append(start) }
      body(&leaves[number]!)
    }
    return assumed
  }
}
