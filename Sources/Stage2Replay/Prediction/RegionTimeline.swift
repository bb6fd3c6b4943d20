internal import KVMTrace
internal import KVMTypes

/// What a trace tells about one stretch of guest memory of the size of a level-2 block, in the order of events.
///
/// A decision about a fault needs what came after it in its region: the level of a later fault shows whether a page
/// or a block was mapped, a repetition shows that nothing was. So every event that concerns a region in which a
/// fault waits for its decision is kept as a node of that region's chain, and given up once no fault waits there.
/// The nodes of all regions lie in one array with a free list; chains link their positions.
struct TimelineNode {
  typealias Index = Int32
  static let none: Index = -1

  enum Kind: UInt8 {
    case translationFault, permissionFault, accessFault, unmap, age, testAge, slotChange
  }

  var kind: Kind
  var level: TranslationLevel
  var isWrite: Bool
  var isExec: Bool
  /// The event's place in the merged trace, and for a fault the thread's last kvm_entry before it.
  var sequence: UInt64
  var entry: UInt64
  /// The frames concerned: one for a fault, those of the range for everything else.
  var frames: FrameRange
  var next: Index = Self.none
  /// Whether the node is a fault that waits for its decision.
  var isWaiting = false
  /// Whether, when the fault was taken, another vCPU's fault was open in a region that can hold a block: the table
  /// may just then have been between pages and block.
  var tableMayChange = false

  var isFault: Bool { kind.rawValue <= Kind.accessFault.rawValue }
}

/// A region, as a key: the VM and the number of the block.
struct RegionKey: Hashable {
  var vm: Int32
  var block: UInt64
}

struct RegionTimelines {
  private struct Chain {
    var first: TimelineNode.Index
    var last: TimelineNode.Index
  }

  private var nodes: [TimelineNode] = []
  private var free: TimelineNode.Index = TimelineNode.none
  private var chains: [RegionKey: Chain] = [:]
  private let blockShift: UInt64
  let pageSize: PageSize

  init(pageSize: PageSize) {
    self.pageSize = pageSize
    blockShift = pageSize.bitsPerLevel
  }

  func block(_ gfn: GFN) -> UInt64 { gfn.rawValue >> blockShift }

  /// The frames of the region around `gfn`.
  func region(_ gfn: GFN) -> FrameRange {
    let first = GFN((gfn.rawValue >> blockShift) << blockShift)
    return FrameRange(start: first, end: first + pageSize.pagesPerPMD)
  }

  subscript(index: TimelineNode.Index) -> TimelineNode { nodes[Int(index)] }

  /// Adds a fault that waits for its decision.
  mutating func append(fault node: TimelineNode, vm: Int) -> TimelineNode.Index {
    let key = RegionKey(vm: Int32(vm), block: block(node.frames.start))
    let index = allocate(node)
    nodes[Int(index)].isWaiting = true
    if var chain = chains[key] {
      nodes[Int(chain.last)].next = index
      chain.last = index
      chains[key] = chain
    } else {
      chains[key] = Chain(first: index, last: index)
    }
    return index
  }

  /// Whether a fault waits in the region of `gfn` whose window is still open.
  func hasOpenFault(around gfn: GFN, vm: Int, openFaults: [VCPUThread]) -> Bool {
    openFaults.contains { thread in
      thread.vm == vm && thread.openFault.map { block($0.record.page.gfn(pageSize)) == block(gfn) } ?? false
    }
  }

  /// Adds a range to every region in which a fault waits.
  mutating func append(range node: TimelineNode, vm: Int) {
    let first = block(node.frames.start)
    let last = block(GFN(node.frames.end.rawValue - 1))
    if last - first < UInt64(chains.count) {
      for block in first...last { append(node, RegionKey(vm: Int32(vm), block: block)) }
    } else {
      for key in chains.keys where key.vm == vm && key.block >= first && key.block <= last {
        append(node, key)
      }
    }
  }

  private mutating func append(_ node: TimelineNode, _ key: RegionKey) {
    guard var chain = chains[key] else { return }
    let index = allocate(node)
    nodes[Int(chain.last)].next = index
    chain.last = index
    chains[key] = chain
  }

  /// Gives up the fault at `index`, and with it what only it waited for.
  mutating func release(fault index: TimelineNode.Index, vm: Int) {
    let key = RegionKey(vm: Int32(vm), block: block(nodes[Int(index)].frames.start))
    guard var chain = chains[key] else { return }
    nodes[Int(index)].isWaiting = false
    // What precedes the first waiting fault can decide nothing any more.
    while chain.first != TimelineNode.none, !nodes[Int(chain.first)].isWaiting {
      let following = nodes[Int(chain.first)].next
      nodes[Int(chain.first)].next = free
      free = chain.first
      chain.first = following
    }
    chains[key] = chain.first == TimelineNode.none ? nil : chain
  }

  private mutating func allocate(_ node: TimelineNode) -> TimelineNode.Index {
    var node = node
    node.next = TimelineNode.none
    guard free != TimelineNode.none else {
      nodes.append(node)
      return TimelineNode.Index(nodes.count - 1)
    }
    let index = free
    free = nodes[Int(index)].next
    nodes[Int(index)] = node
    return index
  }
}
