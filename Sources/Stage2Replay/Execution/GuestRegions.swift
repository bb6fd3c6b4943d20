internal import KVMTypes

/// The regions that a VM's faults have touched: as many as the kernel had tables of level 3 or blocks.
struct GuestRegions: ~Copyable {
  /// How many of the last events of a region are kept.
  static let eventsMax = 8

  private var regions = RecordStore<GuestRegion>()
  /// Which stretches of memory they are, counted in blocks.
  private var blocks: ContiguousArray<UInt64> = []
  private var indices = RegionIndices()
  /// The pages of regions that have more than one of which anything is known.
  private var pages = RecordStore<GuestPage>()
  /// The first event of each region, and the last ones of those that have more than one.
  private var firstEvents = RecordStore<RegionEvent>()
  private var events = RecordStore<RegionEvent>()
  /// How many pages a region has.
  let pagesPerRegion: Int
  private let shift: UInt64

  init(pageSize: PageSize) {
    pagesPerRegion = Int(pageSize.pagesPerPMD)
    shift = pageSize.bitsPerLevel
  }

  var count: Int { regions.count }

  /// All of them, in the order in which they were touched.
  var all: some Collection<RegionIndex> { (0..<regions.count).lazy.map { RegionIndex($0) } }

  @inline(__always)
  func block(_ gfn: GFN) -> UInt64 { gfn.rawValue &>> shift }

  /// Which stretch of memory a region is.
  func block(of region: RegionIndex) -> UInt64 { blocks[region.position] }

  /// The region that is a stretch of memory, nil where no fault has touched that.
  @inline(__always)
  func index(of block: UInt64) -> RegionIndex? { indices[block] }

  subscript(region: RegionIndex) -> GuestRegion {
    @inline(__always) unsafeAddress { UnsafePointer(regions.place(of: region.position)) }
    @inline(__always) unsafeMutableAddress { regions.place(of: region.position) }
  }

  /// A fault touches a region for the first time. What was unmapped in it before is of no concern, for nothing was mapped.
  mutating func append(_ region: RegionIndex, block: UInt64) {
    precondition(region.position == regions.count, "regions come in the order in which they were numbered")
    indices.insert(region, at: block)
    regions.append(GuestRegion())
    blocks.append(block)
    firstEvents.append(.none)
  }

  // MARK: Some of them

  /// Calls `body` with each known region that the frames touch.
  @inline(__always)
  mutating func forEach(in frames: FrameRange, _ body: (RegionIndex, inout GuestRegions) -> Void) {
    let first = block(frames.start)
    let last = block(GFN(frames.end.rawValue - 1))
    if first == last {
      if let region = indices[first] { body(region, &self) }
    } else {
      for region in positions(in: first...last) { body(region, &self) }
    }
  }

  /// The known regions among some.
  func positions(in blocks: ClosedRange<UInt64>) -> [RegionIndex] {
    if blocks.upperBound - blocks.lowerBound < UInt64(regions.count) {
      return blocks.compactMap { indices[$0] }
    }
    return all.filter { blocks.contains(block(of: $0)) }
  }

  /// Whether a known region among some satisfies a condition.
  func contains(in blocks: ClosedRange<UInt64>, where condition: (GuestRegion) -> Bool) -> Bool {
    positions(in: blocks).contains { condition(regions[$0.position]) }
  }

  // MARK: Pages

  /// The page's number in its region.
  @inline(__always)
  func number(_ gfn: GFN) -> Int { Int(truncatingIfNeeded: gfn.rawValue) & (pagesPerRegion &- 1) }

  /// What is kept of a page, by its number in its region.
  @inline(__always)
  func page(_ number: Int, of region: RegionIndex) -> GuestPage {
    let kept = regions[region.position].kept
    if let place = kept.pages { return pages[place.first(pagesPerRegion) &+ number] }
    return Int(kept.number) == number ? kept.page : GuestPage()
  }

  /// A fault on a page is looked at soon.
  @inline(__always)
  func prefetch(_ gfn: GFN, of region: RegionIndex) {
    // A region that is not known yet is touched by a step before the fault.
    guard region.position < regions.count else { return }
    // A region's record says where its pages and events are, so it is read now; the reads of several faults do not wait for each
    // other.
    if let place = regions[region.position].kept.pages {
      pages.prefetch(place.first(pagesPerRegion) &+ number(gfn))
    }
    if let place = regions[region.position].kept.events {
      let count = Int(regions[region.position].kept.eventCount)
      events.prefetch(place.first(Self.eventsMax) &+ count % Self.eventsMax)
    }
  }

  /// Changes what is kept of a page.
  @inline(__always)
  mutating func updatePage(_ number: Int, of region: RegionIndex, _ body: (inout GuestPage) -> Void) {
    if let place = regions[region.position].kept.pages {
      return body(&pages[place.first(pagesPerRegion) &+ number])
    }
    if Int(regions[region.position].kept.number) == number {
      return body(&regions[region.position].kept.page)
    }
    updateSecondPage(number, of: region, body)
  }

  /// Changes what is kept of another page than that of which something may be known.
  @inline(never)
  private mutating func updateSecondPage(
    _ number: Int, of region: RegionIndex, _ body: (inout GuestPage) -> Void
  ) {
    var page = GuestPage()
    body(&page)
    if page == GuestPage() { return }
    if regions[region.position].kept.page == GuestPage() {
      regions[region.position].kept.number = UInt16(number)
      regions[region.position].kept.page = page
    } else {
      pages[place(ofPages: region).lowerBound + number] = page
    }
  }

  /// Changes what is kept of all pages of a region.
  mutating func updatePages(of region: RegionIndex, _ body: (inout GuestPage) -> Void) {
    for position in place(ofPages: region) { body(&pages[position]) }
  }

  /// Where the pages of a region are, from now on each by itself.
  private mutating func place(ofPages region: RegionIndex) -> Range<Int> {
    if let place = regions[region.position].kept.pages?.first(pagesPerRegion) {
      return place..<place + pagesPerRegion
    }
    let kept = regions[region.position].kept
    let place = pages.count
    regions[region.position].kept.pages = RegionPlace(after: place / pagesPerRegion)
    pages.append(repeating: GuestPage(), count: pagesPerRegion)
    pages[place + Int(kept.number)] = kept.page
    return place..<place + pagesPerRegion
  }

  /// Brings what is known of single pages, and of the host's, to an epoch: what an earlier one established may not hold any more.
  mutating func enter(epoch: Epoch, _ region: RegionIndex) {
    guard regions[region.position].epoch != epoch else { return }
    regions[region.position].epoch = epoch
    if epoch != Epoch(0) { regions[region.position].host.doubt() }
    regions[region.position].blockKnowledge.remove(.isEstablished)
    if regions[region.position].kept.pages == nil {
      regions[region.position].kept.page.knowledge.remove(.isEstablished)
    } else {
      updatePages(of: region) { $0.knowledge.remove(.isEstablished) }
    }
  }

  /// Dirty logging of the frames is over: what it had taken rights from was not told.
  mutating func endLogging(_ frames: FrameRange) {
    forEach(in: frames) { region, regions in
      regions[region].blockKnowledge.insert(.mayBeProtected)
      regions.updatePages(of: region) { $0.knowledge.insert(.mayBeProtected) }
    }
  }

  // MARK: Events

  @inline(__always)
  mutating func append(_ event: RegionEvent, to region: RegionIndex) {
    let count = Int(regions[region.position].kept.eventCount)
    regions[region.position].kept.eventCount =
      count &+ 1 == 2 &* Self.eventsMax ? UInt8(Self.eventsMax) : UInt8(count &+ 1)
    if let place = regions[region.position].kept.events {
      events[place.first(Self.eventsMax) &+ count % Self.eventsMax] = event
    } else if count == 0 {
      firstEvents[region.position] = event
    } else {
      appendSecond(event, to: region)
    }
  }

  @inline(never)
  private mutating func appendSecond(_ event: RegionEvent, to region: RegionIndex) {
    let place = events.count
    regions[region.position].kept.events = RegionPlace(after: place / Self.eventsMax)
    events.append(repeating: .none, count: Self.eventsMax)
    events[place] = firstEvents[region.position]
    events[place + 1] = event
  }

  /// The last events of a region, the oldest first.
  func recentEvents(_ region: RegionIndex) -> [RegionEvent] {
    let kept = regions[region.position].kept
    let count = Int(kept.eventCount)
    guard let place = kept.events?.first(Self.eventsMax) else {
      return count == 0 ? [] : [firstEvents[region.position]]
    }
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
