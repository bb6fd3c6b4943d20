internal import KVMTrace
internal import KVMTypes

/// How a leaf of the model is known, beyond what the model itself says.
struct LeafKnowledge: OptionSet, Hashable {
  var rawValue: UInt8

  /// That it is mapped, or its size, is an assumption.
  static let isAssumed = LeafKnowledge(rawValue: 1)
  /// A read mapped it, and that the host let it be written is an assumption.
  static let isReadMapped = LeafKnowledge(rawValue: 2)
  /// An age was under way when its access flag was set: either may have come last.
  static let mayBeOld = LeafKnowledge(rawValue: 4)
  /// An access flag fault made it young since it was mapped.
  static let wasMadeYoung = LeafKnowledge(rawValue: 8)
  /// Dirty logging may have taken its right to write, which leaves no event.
  static let mayBeProtected = LeafKnowledge(rawValue: 16)
  /// An event showed whether it is mapped, in a region of which that is not known as a whole.
  static let isEstablished = LeafKnowledge(rawValue: 32)
}

/// One stretch of guest memory of the size of a level-2 block.
struct GuestRegion {
  let block: UInt64
  /// The place in the merged trace at which the last unmap of the region's memory was over at the latest. This one is
  /// kept up when events are taken in, all others when they are applied.
  var lastUnmap: UInt64 = 0
  /// The last age of the region's memory, and the position of the thread that asked for it; also at the event.
  var lastAge: UInt64 = 0
  var lastAgeThread: Int32 = -1
  /// Where its table of level 3 appeared, or its block.
  var tableBorn: UInt64 = 0
  var blockBorn: UInt64 = 0
  /// Where pages last took the place of a block, or the other way round.
  var resized: UInt64 = 0
  /// Where an access flag fault last made one of its leaves young.
  var madeYoung: UInt64 = 0
  /// Of its block, where it is mapped by one.
  var blockKnowledge: LeafKnowledge = []
  /// A map whose size is an assumption was made where pages were mapped: it may have replaced them all by a block.
  var mayBeBlock = false
  /// A fault is assumed to have mapped nothing here.
  var mayHoldMore = false
  /// The epoch in which a fault showed that nothing was mapped here; -1 where none did.
  var emptyIn: Int32 = -1
  /// The epoch of which its pages' knowledge is.
  var epoch: Int32 = -1
  /// How many events it has seen.
  var eventCount: UInt32 = 0
}

/// The regions that a VM's faults have touched: as many as the kernel had tables of level 3 or blocks.
struct GuestRegions {
  /// How many of the last events of a region are kept.
  static let eventsMax = 8

  private(set) var regions: ContiguousArray<GuestRegion> = []
  private var knowledge: ContiguousArray<LeafKnowledge> = []
  private var events: ContiguousArray<RegionEvent> = []
  private var positions: [FrameKey: Int32] = [:]
  /// The region asked for last: faults come in streams.
  private var lastBlock: UInt64 = .max
  private var lastPosition: Int32 = -1
  private let pagesPerRegion: Int
  private let shift: UInt64

  init(pageSize: PageSize) {
    pagesPerRegion = Int(pageSize.pagesPerPMD)
    shift = pageSize.bitsPerLevel
  }

  var count: Int { regions.count }

  func block(_ gfn: GFN) -> UInt64 { gfn.rawValue >> shift }

  subscript(position: Int32) -> GuestRegion {
    @inline(__always) get { regions[Int(position)] }
    @inline(__always) _modify { yield &regions[Int(position)] }
  }

  /// The region of `gfn`, taken in if it is new. What was unmapped in it before is of no concern, for nothing was mapped.
  mutating func insert(_ gfn: GFN) -> Int32 {
    let block = block(gfn)
    if block == lastBlock { return lastPosition }
    lastBlock = block
    if let known = positions[FrameKey(block)] {
      lastPosition = known
      return known
    }
    lastPosition = Int32(regions.count)
    positions[FrameKey(block)] = lastPosition
    regions.append(GuestRegion(block: block))
    knowledge.append(contentsOf: repeatElement([], count: pagesPerRegion))
    events.append(contentsOf: repeatElement(.none, count: Self.eventsMax))
    return lastPosition
  }

  /// The region of `gfn`, nil where no fault has touched it.
  func position(_ gfn: GFN) -> Int32? {
    let block = block(gfn)
    return block == lastBlock ? lastPosition : positions[FrameKey(block)]
  }

  /// Calls `body` with each known region that the frames touch.
  mutating func forEach(in frames: FrameRange, _ body: (Int32, inout GuestRegions) -> Void) {
    forEach(in: block(frames.start), block(GFN(frames.end.rawValue - 1)), body)
  }

  /// Calls `body` with each known region from one to another.
  mutating func forEach(in first: UInt64, _ last: UInt64, _ body: (Int32, inout GuestRegions) -> Void) {
    if last - first < UInt64(regions.count) {
      for block in first...last { if let position = positions[FrameKey(block)] { body(position, &self) } }
    } else {
      for position in regions.indices
      where regions[position].block >= first && regions[position].block <= last {
        body(Int32(position), &self)
      }
    }
  }

  /// The known regions among some.
  func positions(in blocks: ClosedRange<UInt64>) -> [Int32] {
    if blocks.upperBound - blocks.lowerBound < UInt64(regions.count) {
      return blocks.compactMap { positions[FrameKey($0)] }
    }
    return regions.indices.filter { blocks.contains(regions[$0].block) }.map { Int32($0) }
  }

  /// Whether a known region among some satisfies a condition.
  func contains(in blocks: ClosedRange<UInt64>, where condition: (GuestRegion) -> Bool) -> Bool {
    positions(in: blocks).contains { condition(regions[Int($0)]) }
  }

  // MARK: What is known of leaves

  /// What is known of the page `gfn` of the region at `position`.
  func page(_ gfn: GFN, _ position: Int32) -> LeafKnowledge {
    knowledge[pageIndex(gfn, position)]
  }

  mutating func setPage(_ gfn: GFN, _ position: Int32, _ value: LeafKnowledge) {
    knowledge[pageIndex(gfn, position)] = value
  }

  /// All pages of a region, by their number in it.
  func pages(_ position: Int32) -> ArraySlice<LeafKnowledge> {
    let first = Int(position) * pagesPerRegion
    return ArraySlice(knowledge[first..<first + pagesPerRegion])
  }

  private func pageIndex(_ gfn: GFN, _ position: Int32) -> Int {
    Int(position) * pagesPerRegion + Int(gfn.rawValue) & (pagesPerRegion - 1)
  }

  /// Brings what is known of single pages to an epoch: what an earlier one established may not hold any more.
  mutating func enter(epoch: Int32, _ position: Int32) {
    guard regions[Int(position)].epoch != epoch else { return }
    regions[Int(position)].epoch = epoch
    regions[Int(position)].blockKnowledge.remove(.isEstablished)
    let first = Int(position) * pagesPerRegion
    for page in first..<first + pagesPerRegion { knowledge[page].remove(.isEstablished) }
  }

  /// Dirty logging of the frames is over: what it had taken rights from was not told.
  mutating func endLogging(_ frames: FrameRange) {
    let pages = pagesPerRegion
    forEach(in: frames) { position, regions in
      regions[position].blockKnowledge.insert(.mayBeProtected)
      let first = Int(position) * pages
      for page in first..<first + pages { regions.knowledge[page].insert(.mayBeProtected) }
    }
  }

  // MARK: Events

  mutating func append(_ event: RegionEvent, to position: Int32) {
    let count = regions[Int(position)].eventCount
    events[Int(position) * Self.eventsMax + Int(count) % Self.eventsMax] = event
    regions[Int(position)].eventCount = count &+ 1
  }

  /// The last events of a region, the oldest first.
  func recentEvents(_ position: Int32) -> [RegionEvent] {
    let count = Int(regions[Int(position)].eventCount)
    return (max(0, count - Self.eventsMax)..<count).map { number in
      events[Int(position) * Self.eventsMax + number % Self.eventsMax]
    }
  }
}

extension RegionEvent {
  /// A place in which no event was put yet.
  fileprivate static let none = RegionEvent(
    time: Nanoseconds(0), ipa: IPA(0), pages: 0, tid: ThreadID(-1), cpu: CPUIndex(0), kind: .otherFault,
    level: nil,
    access: .none, effect: .nothing)
}
