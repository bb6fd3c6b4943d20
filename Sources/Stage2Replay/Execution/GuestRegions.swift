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
  /// Where its table of level 3 appeared, or its block.
  var tableInstalledAt = Sequence.start
  var blockInstalledAt = Sequence.start
  /// Where pages last took the place of a block, or the other way round.
  var resizedAt = Sequence.start
  /// Where an access flag fault last made one of its leaves young.
  var madeYoungAt = Sequence.start
  /// Of its block, where it is mapped by one.
  var blockKnowledge: LeafKnowledge = []
  /// A map whose size is an assumption was made where pages were mapped: it may have replaced them all by a block.
  var mayBeBlock = false
  /// A fault is assumed to have mapped nothing here.
  var mayHaveUnseenMappings = false
  /// The epoch in which a fault showed that nothing was mapped here.
  var emptyIn = Epoch.never
  /// The epoch of which its pages' knowledge is.
  var epoch = Epoch.never
  /// What is kept of its pages and events.
  fileprivate var kept = Kept()

  /// What is kept of a region's pages and events. A guest whose memory is scattered has but one page and one event in most
  /// regions: room for all of a region's pages and for more events is taken when the second comes.
  fileprivate struct Kept {
    /// Where its pages' knowledge is, nil as long as there is but one page of which anything is known.
    var pages: Int?
    /// That page, and what is known of it.
    var page: UInt16 = 0
    var knowledge: LeafKnowledge = []
    /// How many events it has seen.
    var eventCount: UInt32 = 0
    /// Where its events are, nil before the second one.
    var events: Int?
  }
}

/// The regions that a VM's faults have touched: as many as the kernel had tables of level 3 or blocks.
struct GuestRegions {
  /// How many of the last events of a region are kept.
  static let eventsMax = 8

  private(set) var regions: ContiguousArray<GuestRegion> = []
  /// What is known of the pages of regions that have more than one.
  private var knowledge: ContiguousArray<LeafKnowledge> = []
  /// The first event of each region, and the last ones of those that have more than one.
  private var firstEvents: ContiguousArray<RegionEvent> = []
  private var events: ContiguousArray<RegionEvent> = []
  private var positions: [FrameKey: RegionIndex] = [:]
  private let pagesPerRegion: Int
  private let shift: UInt64

  init(pageSize: PageSize) {
    pagesPerRegion = Int(pageSize.pagesPerPMD)
    shift = pageSize.bitsPerLevel
  }

  var count: Int { regions.count }

  func block(_ gfn: GFN) -> UInt64 { gfn.rawValue >> shift }

  subscript(region: RegionIndex) -> GuestRegion {
    @inline(__always) _read { yield regions[region.position] }
    @inline(__always) _modify { yield &regions[region.position] }
  }

  /// A fault touches a region for the first time. What was unmapped in it before is of no concern, for nothing was mapped.
  mutating func append(_ region: RegionIndex, block: UInt64) {
    precondition(region.position == regions.count, "regions come in the order in which they were numbered")
    positions[FrameKey(block)] = region
    regions.append(GuestRegion(block: block))
    firstEvents.append(.none)
  }

  /// Calls `body` with each known region that the frames touch.
  mutating func forEach(in frames: FrameRange, _ body: (RegionIndex, inout GuestRegions) -> Void) {
    forEach(in: block(frames.start), block(GFN(frames.end.rawValue - 1)), body)
  }

  /// Calls `body` with each known region from one to another.
  mutating func forEach(in first: UInt64, _ last: UInt64, _ body: (RegionIndex, inout GuestRegions) -> Void) {
    if last - first < UInt64(regions.count) {
      for block in first...last { if let position = positions[FrameKey(block)] { body(position, &self) } }
    } else {
      for position in regions.indices
      where regions[position].block >= first && regions[position].block <= last {
        body(RegionIndex(position), &self)
      }
    }
  }

  /// The known regions among some.
  func positions(in blocks: ClosedRange<UInt64>) -> [RegionIndex] {
    if blocks.upperBound - blocks.lowerBound < UInt64(regions.count) {
      return blocks.compactMap { positions[FrameKey($0)] }
    }
    return regions.indices.filter { blocks.contains(regions[$0].block) }.map { RegionIndex($0) }
  }

  /// Whether a known region among some satisfies a condition.
  func contains(in blocks: ClosedRange<UInt64>, where condition: (GuestRegion) -> Bool) -> Bool {
    positions(in: blocks).contains { condition(regions[$0.position]) }
  }

  // MARK: What is known of leaves

  /// What is known of the page `gfn` of the region at `position`.
  @inline(__always)
  func page(_ gfn: GFN, _ position: RegionIndex) -> LeafKnowledge {
    let kept = regions[position.position].kept
    let page = pageNumber(gfn)
    if let pages = kept.pages { return knowledge[pages + page] }
    return Int(kept.page) == page ? kept.knowledge : []
  }

  @inline(__always)
  mutating func setPage(_ gfn: GFN, _ position: RegionIndex, _ value: LeafKnowledge) {
    let kept = regions[position.position].kept
    let page = pageNumber(gfn)
    if let pages = kept.pages {
      knowledge[pages + page] = value
    } else if Int(kept.page) == page || kept.knowledge.isEmpty {
      regions[position.position].kept.page = UInt16(page)
      regions[position.position].kept.knowledge = value
    } else if !value.isEmpty {
      knowledge[place(ofPages: position) + page] = value
    }
  }

  /// All pages of a region, by their number in it.
  func pages(_ position: RegionIndex) -> ArraySlice<LeafKnowledge> {
    let kept = regions[position.position].kept
    if let first = kept.pages { return ArraySlice(knowledge[first..<first + pagesPerRegion]) }
    var pages = Array(repeating: LeafKnowledge(), count: pagesPerRegion)
    pages[Int(kept.page)] = kept.knowledge
    return pages[...]
  }

  /// The page's number in its region.
  @inline(__always)
  private func pageNumber(_ gfn: GFN) -> Int { Int(gfn.rawValue) & (pagesPerRegion - 1) }

  /// Where the knowledge of a region's pages is, from now on of each page.
  private mutating func place(ofPages position: RegionIndex) -> Int {
    let kept = regions[position.position].kept
    if let place = kept.pages { return place }
    let place = knowledge.count
    knowledge.append(contentsOf: repeatElement([], count: pagesPerRegion))
    knowledge[place + Int(kept.page)] = kept.knowledge
    regions[position.position].kept.pages = place
    return place
  }

  /// Brings what is known of single pages to an epoch: what an earlier one established may not hold any more.
  mutating func enter(epoch: Epoch, _ position: RegionIndex) {
    guard regions[position.position].epoch != epoch else { return }
    regions[position.position].epoch = epoch
    regions[position.position].blockKnowledge.remove(.isEstablished)
    regions[position.position].kept.knowledge.remove(.isEstablished)
    guard let first = regions[position.position].kept.pages else { return }
    for page in first..<first + pagesPerRegion { knowledge[page].remove(.isEstablished) }
  }

  /// Dirty logging of the frames is over: what it had taken rights from was not told.
  mutating func endLogging(_ frames: FrameRange) {
    let pages = pagesPerRegion
    forEach(in: frames) { position, regions in
      regions[position].blockKnowledge.insert(.mayBeProtected)
      let first = regions.place(ofPages: position)
      for page in first..<first + pages { regions.knowledge[page].insert(.mayBeProtected) }
    }
  }

  // MARK: Events

  mutating func append(_ event: RegionEvent, to position: RegionIndex) {
    let kept = regions[position.position].kept
    regions[position.position].kept.eventCount = kept.eventCount &+ 1
    if let place = kept.events {
      events[place + Int(kept.eventCount) % Self.eventsMax] = event
    } else if kept.eventCount == 0 {
      firstEvents[position.position] = event
    } else {
      regions[position.position].kept.events = events.count
      events.append(firstEvents[position.position])
      events.append(event)
      events.append(contentsOf: repeatElement(.none, count: Self.eventsMax - 2))
    }
  }

  /// The last events of a region, the oldest first.
  func recentEvents(_ position: RegionIndex) -> [RegionEvent] {
    let kept = regions[position.position].kept
    let count = Int(kept.eventCount)
    guard let place = kept.events else { return count == 0 ? [] : [firstEvents[position.position]] }
    return (max(0, count - Self.eventsMax)..<count).map { events[place + $0 % Self.eventsMax] }
  }
}

extension RegionEvent {
  /// A place in which no event was put yet.
  fileprivate static let none = RegionEvent(
    time: Nanoseconds(0), ipa: IPA(0), pages: 0, tid: ThreadID(-1), cpu: CPUIndex(0), kind: .otherFault,
    level: nil,
    access: .none, effect: .nothing)
}
