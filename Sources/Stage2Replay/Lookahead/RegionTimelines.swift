internal import KVMTrace
internal import KVMTypes

/// The chains of all regions in which a fault waits.
struct RegionTimelines: ~Copyable {
  struct Chain: BitwiseCopyable {
    var first: TimelineNode.Index
    var last: TimelineNode.Index
  }

  /// Nodes in use.
  private(set) var count = 0
  /// Regions in which a fault waits, and pages under which a fault is filed.
  var chainCount: Int { chains.count }
  var pageCount: Int { lastOnPage.count }
  private var nodes = RecordStore<TimelineNode>()
  private var free: TimelineNode.Index = TimelineNode.none
  private var chains = FrameMap(filler: Chain(first: TimelineNode.none, last: TimelineNode.none))
  /// Of each region, the events of its chain that take memory away, by `nextLoss`.
  private var losses = FrameMap(filler: Chain(first: TimelineNode.none, last: TimelineNode.none))
  /// The last fault on each page, of regions that have had more than one: nobody looks for the page of a region's only
  /// fault.
  private var lastOnPage = FrameMap(filler: TimelineNode.none)
  /// Where events are missing.
  private(set) var breaks = EvidenceBreaks()
  /// Which faults race, where no kvm_entry tells that of each.
  private var unordered = UnorderedFaults()
  private let seesEntries: Bool
  private let blockShift: UInt64
  let pageSize: PageSize

  /// - Parameter seesEntries: whether kvm_entry is recorded.
  init(pageSize: PageSize, seesEntries: Bool = true) {
    self.pageSize = pageSize
    self.seesEntries = seesEntries
    blockShift = pageSize.bitsPerLevel
  }

  /// Events are missing from here on, or are missing no more.
  mutating func note(breakAt sequence: Sequence) { breaks.note(sequence) }

  /// Addresses have 52 bits and frames 40 at most, blocks fewer; the VM's number goes above them.
  private func pageKey(_ vm: VMIndex, _ gfn: GFN) -> UInt64 {
    UInt64(vm.position) << 40 | gfn.rawValue
  }
  private func regionKey(_ vm: VMIndex, _ block: UInt64) -> UInt64 {
    UInt64(vm.position) << 40 | block
  }

  /// The block that a frame lies in.
  @inline(__always)
  func block(_ gfn: GFN) -> UInt64 { gfn.rawValue &>> blockShift }

  /// The blocks that frames touch.
  func blocks(_ frames: FrameRange) -> ClosedRange<UInt64> {
    block(frames.start)...block(GFN(frames.end.rawValue - 1))
  }

  subscript(index: TimelineNode.Index) -> TimelineNode {
    @inline(__always) unsafeAddress { UnsafePointer(nodes.place(of: index.position)) }
  }

  /// A fault on a frame comes, or is given up, soon.
  @inline(__always)
  func prefetch(_ gfn: GFN, of vm: VMIndex) { chains.prefetch(regionKey(vm, block(gfn))) }

  /// A node is looked at soon.
  @inline(__always)
  func prefetch(_ index: TimelineNode.Index) { nodes.prefetch(index.position) }

  /// The node of a fault that is in a timeline.
  @inline(__always)
  func node(of fault: FaultWindow) -> TimelineNode {
    guard let index = fault.node else { preconditionFailure("a fault that is decided is in a timeline") }
    return nodes[index.position]
  }

  /// Whether the order of a fault and of another vCPU's is not known; it is of one that is in no timeline.
  @inline(__always)
  func isRaced(_ index: TimelineNode.Index?, of vm: VMIndex) -> Bool {
    guard let index else { return false }
    return isRaced(index, of: vm)
  }

  @inline(__always)
  func isRaced(_ index: TimelineNode.Index, of vm: VMIndex) -> Bool {
    nodes[index.position].isRaced || !seesEntries && isUnordered(index, vm)
  }

  @inline(__always)
  private func isUnordered(_ index: TimelineNode.Index, _ vm: VMIndex) -> Bool {
    nodes[index.position].isFiled && unordered.isRaced(nodes[index.position], orderKey(of: index, vm))
  }

  /// What the races of a fault are kept under. A page's key has no bit at the top.
  @inline(__always)
  private func orderKey(of index: TimelineNode.Index, _ vm: VMIndex) -> UInt64 {
    let gfn = nodes[index.position].frames.start
    return nodes[index.position].isOfBlockRegion ? regionKey(vm, block(gfn)) | 1 << 63 : pageKey(vm, gfn)
  }

  /// Adds a fault that waits for its decision.
  ///
  /// - Parameter canHoldBlock: whether the region may be mapped by a block, so that any fault in it concerns all pages.
  mutating func append(fault node: TimelineNode, vm: VMIndex, canHoldBlock: Bool) -> TimelineNode.Index {
    let key = regionKey(vm, block(node.frames.start))
    let index = allocate(node)
    nodes[index.position].isWaiting = true
    nodes[index.position].isOfBlockRegion = canHoldBlock
    if let slot = chains.slot(of: key) {
      // The first node is a fault that waits, and where it is not filed the only fault.
      let first = chains[slot: slot].first
      let isSecond = !nodes[first.position].isFiled
      if isSecond { file(first, vm) }
      file(index, vm)
      link(index, inSlot: slot)
      if seesEntries {
        markRaces(index, canHoldBlock: canHoldBlock)
      } else {
        if isSecond { keepOrder(of: first, vm, begin: nodes[first.position].sequence, marks: false) }
        noteOrder(of: index, vm, behind: first, canHoldBlock: canHoldBlock)
      }
    } else {
      _ = chains.updateValue(Chain(first: index, last: index), forKey: key)
    }
    return index
  }

  /// Files a fault under its page.
  private mutating func file(_ index: TimelineNode.Index, _ vm: VMIndex) {
    nodes[index.position].isFiled = true
    let page = pageKey(vm, nodes[index.position].frames.start)
    if let earlier = lastOnPage.updateValue(index, forKey: page) {
      nodes[earlier.position].nextOnPage = index
    }
  }

  /// A fault that is not the first one of its chain is filed, and no kvm_entry was recorded. Races are kept for the whole region
  /// or for its pages, as it was when the chain began.
  private mutating func noteOrder(
    of index: TimelineNode.Index, _ vm: VMIndex, behind first: TimelineNode.Index, canHoldBlock: Bool
  ) {
    let isOfBlockRegion = nodes[first.position].isOfBlockRegion
    let begin = nodes[first.position].sequence
    nodes[index.position].isOfBlockRegion = isOfBlockRegion
    let isKept = nodes[index.position].entry == .start && canHoldBlock == isOfBlockRegion
    keepOrder(of: index, vm, begin: begin, marks: isKept)
    if !isKept { markRaces(index, canHoldBlock: canHoldBlock) }
  }

  private mutating func keepOrder(
    of index: TimelineNode.Index, _ vm: VMIndex, begin: Sequence, marks: Bool
  ) {
    let node = nodes[index.position]
    let follows = unordered.append(node, orderKey(of: index, vm), begin: begin, marks: marks)
    if marks, follows { nodes[index.position].followsRival = true }
  }

  /// The window of a fault ends.
  mutating func close(_ index: TimelineNode.Index, at sequence: Sequence) {
    nodes[index.position].end = sequence
  }

  /// Marks faults of other vCPUs whose operation may come before or after that of the fault at `index`. Those that are still
  /// open are the caller's business: a long window may lie behind many short ones.
  private mutating func markRaces(_ index: TimelineNode.Index, canHoldBlock: Bool) {
    let node = nodes[index.position]
    var other = node.previous
    while other != TimelineNode.none {
      let candidate = nodes[other.position]
      if candidate.isFault, candidate.tid != node.tid, candidate.end > node.entry,
        canHoldBlock || candidate.frames == node.frames
      {
        nodes[other.position].isRaced = true
        nodes[index.position].followsRival = true
      }
      // Windows end in about the order in which they begin: what ended before this vCPU entered is far enough back.
      if candidate.isFault, candidate.end <= node.entry { return }
      other = candidate.previous
    }
  }

  /// Two faults of different vCPUs are open at the same time: on one page, or in a region that can hold a block.
  mutating func markRace(_ one: TimelineNode.Index, _ other: TimelineNode.Index) {
    nodes[one.position].isRaced = true
    nodes[other.position].isRaced = true
  }

  /// Adds a range to every region in which a fault waits.
  mutating func append(range node: TimelineNode, vm: VMIndex) {
    let first = regionKey(vm, block(node.frames.start))
    let last = regionKey(vm, block(GFN(node.frames.end.rawValue - 1)))
    if first == last { return append(node, first) }
    for key in chains.keys(in: first...last) { append(node, key) }
  }

  private mutating func append(_ node: TimelineNode, _ key: UInt64) {
    guard let slot = chains.slot(of: key) else { return }
    let index = allocate(node)
    link(index, inSlot: slot)
    if node.isLoss { linkLoss(index, key) }
  }

  /// Puts a node at the end of a chain.
  private mutating func link(_ index: TimelineNode.Index, inSlot slot: Int) {
    let last = chains[slot: slot].last
    nodes[last.position].next = index
    nodes[index.position].previous = last
    chains[slot: slot].last = index
  }

  /// The first event that takes memory away from the region of `gfn`, of those that are kept; none where there is none.
  @inline(__always)
  func firstLoss(around gfn: GFN, of vm: VMIndex) -> TimelineNode.Index {
    losses[regionKey(vm, block(gfn))]?.first ?? TimelineNode.none
  }

  /// Puts a node behind those of its region that take memory away.
  private mutating func linkLoss(_ index: TimelineNode.Index, _ key: UInt64) {
    if let slot = losses.slot(of: key) {
      let last = losses[slot: slot].last
      nodes[last.position].nextLoss = index
      losses[slot: slot].last = index
    } else {
      _ = losses.updateValue(Chain(first: index, last: index), forKey: key)
    }
  }

  /// Takes out the first node of a region that takes memory away.
  private mutating func unlinkLoss(_ index: TimelineNode.Index, _ key: UInt64) {
    guard let slot = losses.slot(of: key) else { return }
    assert(losses[slot: slot].first == index, "events are given up in their order")
    let following = nodes[index.position].nextLoss
    if following == TimelineNode.none {
      losses.remove(at: slot)
    } else {
      losses[slot: slot].first = following
    }
  }

  /// Gives up the fault at `index`, and with it what only it waited for.
  mutating func release(fault index: TimelineNode.Index, vm: VMIndex) {
    let key = regionKey(vm, block(nodes[index.position].frames.start))
    guard let slot = chains.slot(of: key) else { return }
    nodes[index.position].isWaiting = false
    var first = chains[slot: slot].first
    // What precedes the first waiting fault can decide nothing any more.
    while first != TimelineNode.none, !nodes[first.position].isWaiting {
      let following = nodes[first.position].next
      if nodes[first.position].isFiled {
        let page = lastOnPage.slot(of: pageKey(vm, nodes[first.position].frames.start))
        if let page, lastOnPage[slot: page] == first {
          lastOnPage.remove(at: page)
          if !seesEntries, !nodes[first.position].isOfBlockRegion {
            unordered.forget(orderKey(of: first, vm))
          }
        }
      } else if nodes[first.position].isLoss {
        unlinkLoss(first, key)
      }
      nodes[first.position].next = free
      free = first
      count -= 1
      first = following
    }
    if first == TimelineNode.none {
      chains.remove(at: slot)
      if !seesEntries { unordered.forget(key | 1 << 63) }
    } else {
      nodes[first.position].previous = TimelineNode.none
      chains[slot: slot].first = first
    }
  }

  @inline(__always)
  private mutating func allocate(_ node: TimelineNode) -> TimelineNode.Index {
    var node = node
    node.next = TimelineNode.none
    count += 1
    guard free != TimelineNode.none else {
      nodes.append(node)
      return TimelineNode.Index(nodes.count - 1)
    }
    let index = free
    free = nodes[index.position].next
    nodes[index.position] = node
    return index
  }
}
