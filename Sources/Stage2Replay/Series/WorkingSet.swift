public import KVMTypes

/// Which pages of a VM faults show to be in use, and when.
///
/// A page counts as touched when a fault on it, or on the block that maps it, leads to an operation. What the guest
/// touches through a mapping that is there leaves no event, so everything here is what is *shown*: touches are a lower
/// bound, ages an upper one. Without a hardware access flag, a host that ages pages makes them show up again.
/// When a page was touched last is kept with the page's region.
struct WorkingSet: ~Copyable {
  /// How many pages were last touched in each interval, plus one; what was never touched is counted off the first.
  private var pages = RecordStore(repeating: 0, count: TimeGrid.intervalsMax + 1)
  private var order: [FirstTouch] = []
  private var samples = RecordStore<TouchSample>()
  /// Pages that were first shown by a fault on a block.
  private var blockPages = 0
  /// The stretches of PUD_SIZE that faults on one block showed, by their number: when last, and how many pages that were.
  private var puds: [FrameKey: (stamp: UInt8, pages: Int)] = [:]
  /// What of all that lies in slots that are no RAM.
  private var fixed = FixedTouches()

  /// Pages of RAM that faults have shown in use.
  var shownRAM: Int { -pages[0] - fixed.pages }

  /// The number of the stretch of PUD_SIZE that a frame lies in.
  private func pud(_ gfn: GFN, _ regions: borrowing GuestRegions) -> FrameKey {
    FrameKey(gfn.rawValue / UInt64(regions.pagesPerRegion * regions.pagesPerRegion))
  }

  /// Whether a fault showed all of the stretch of PUD_SIZE in use that a frame lies in: its pages are told no more apart.
  private func isInPUD(_ gfn: GFN, _ regions: borrowing GuestRegions) -> Bool {
    !puds.isEmpty && puds[pud(gfn, regions)] != nil
  }

  /// A fault shows a page, or the block around it, in use.
  ///
  /// - Parameters:
  ///   - region: the page's region.
  ///   - level: that of the leaf that maps the page.
  ///   - isFixed: whether it lies in a slot that is no RAM; asked for where nothing of the page or the block was shown before.
  @inline(__always)
  mutating func touch(
    _ gfn: GFN, in region: RegionIndex, of regions: inout GuestRegions, level: TranslationLevel,
    isFixed: @autoclosure () -> Bool = false, at time: Nanoseconds, interval: Int
  ) {
    let stamp = UInt8(truncatingIfNeeded: interval &+ 1)
    if level < .l3 {
      noteRegion(gfn, region, of: &regions, isFixed: isFixed(), at: time)
      if level < .l2 || isInPUD(gfn, regions) {
        return touchPUD(gfn, of: regions, stamp, isFixed: isFixed(), interval)
      }
      return touchBlock(region, of: &regions, stamp, isFixed: isFixed(), interval)
    }
    if !puds.isEmpty, isInPUD(gfn, regions) {
      return touchPUD(gfn, of: regions, stamp, isFixed: isFixed(), interval)
    }
    var earlier: UInt8 = 0
    regions.updatePage(regions.number(gfn), of: region) { page in
      earlier = page.stamp
      page.stamp = stamp
    }
    if earlier == stamp { return }
    pages[Int(earlier)] &-= 1
    pages[Int(stamp)] &+= 1
    if samples.count <= interval { extendSamples(to: interval) }
    samples[interval].touched &+= 1
    if earlier != 0 { return }
    // A page that was shown before is of a region that was.
    noteRegion(gfn, region, of: &regions, isFixed: isFixed(), at: time)
    samples[interval].first &+= 1
    if isFixed() { fixed.note(1, isBlock: false, &samples[interval]) }
  }

  /// A fault shows a region in use, perhaps for the first time.
  @inline(__always)
  private mutating func noteRegion(
    _ gfn: GFN, _ region: RegionIndex, of regions: inout GuestRegions, isFixed: Bool, at time: Nanoseconds
  ) {
    if regions[region].isInUse { return }
    regions[region].isInUse = true
    noteFirst(GFN(gfn.rawValue & ~(UInt64(regions.pagesPerRegion) - 1)), isFixed: isFixed, at: time)
  }

  @inline(never)
  private mutating func noteFirst(_ start: GFN, isFixed: Bool, at time: Nanoseconds) {
    order.append(FirstTouch(gfn: start, time: time))
    if isFixed { fixed.regions += 1 }
  }

  @inline(never)
  private mutating func extendSamples(to interval: Int) {
    samples.append(repeating: TouchSample(), count: interval + 1 - samples.count)
  }

  /// A fault shows all pages of a block in use.
  @inline(never)
  private mutating func touchBlock(
    _ region: RegionIndex, of regions: inout GuestRegions, _ stamp: UInt8, isFixed: Bool, _ interval: Int
  ) {
    if samples.count <= interval { extendSamples(to: interval) }
    var touched = 0
    var first = 0
    regions.updatePages(of: region) { page in
      if page.stamp == stamp { return }
      if page.stamp == 0 { first += 1 }
      touched += 1
      pages[Int(page.stamp)] -= 1
      page.stamp = stamp
    }
    pages[Int(stamp)] += touched
    samples[interval].touched += touched
    samples[interval].first += first
    blockPages += first
    if isFixed { fixed.note(first, isBlock: true, &samples[interval]) }
  }

  /// A fault shows all pages of a block of PUD_SIZE in use. What was shown of it before keeps its time.
  @inline(never)
  private mutating func touchPUD(
    _ gfn: GFN, of regions: borrowing GuestRegions, _ stamp: UInt8, isFixed: Bool, _ interval: Int
  ) {
    if samples.count <= interval { extendSamples(to: interval) }
    let key = pud(gfn, regions)
    let count = regions.pagesPerRegion
    let first = puds[key] == nil
    let known = puds[key] ?? (stamp: 0, pages: count * count - shownPages(of: key, regions))
    if known.stamp == stamp { return }
    puds[key] = (stamp: stamp, pages: known.pages)
    pages[Int(known.stamp)] -= known.pages
    pages[Int(stamp)] += known.pages
    samples[interval].touched += known.pages
    guard first else { return }
    samples[interval].first += known.pages
    blockPages += known.pages
    if isFixed { fixed.note(known.pages, isBlock: true, &samples[interval]) }
  }

  /// How many pages of a stretch of PUD_SIZE were shown one by one, or in smaller blocks.
  private func shownPages(of pud: FrameKey, _ regions: borrowing GuestRegions) -> Int {
    let first = pud.value * UInt64(regions.pagesPerRegion)
    var shown = 0
    for region in regions.positions(in: first...first + UInt64(regions.pagesPerRegion) - 1) {
      for number in 0..<regions.pagesPerRegion where regions.page(number, of: region).stamp != 0 {
        shown += 1
      }
    }
    return shown
  }

  /// The set as it is when the trace ends.
  ///
  /// - Parameter last: the last interval.
  func result(last: Int) -> WorkingSetResult {
    var idle: [Int: Int] = [:]
    var total = 0
    for stamp in 1..<pages.count where pages[stamp] > 0 {
      // What was touched behind the last interval, where stamps contradict each other, was touched at the end.
      idle[max(last - (stamp - 1), 0), default: 0] += pages[stamp]
      total += pages[stamp]
    }
    var touched: [Int: TouchSample] = [:]
    for interval in 0..<samples.count where samples[interval].touched > 0 {
      touched[interval] = samples[interval]
    }
    return WorkingSetResult(
      pages: total, blockPages: blockPages, fixed: fixed, samples: touched, idle: idle,
      firstTouches: order)
  }
}

/// Pages that faults showed in use in one interval.
public struct TouchSample: Hashable, Sendable {
  /// All of them.
  public var touched = 0
  /// Those that no fault had shown before.
  public var first = 0
  /// Those of the latter in slots that are no RAM.
  public var firstFixed = 0
}

/// What faults showed in use in slots that are no RAM (`GuestMemory.isFixed`): firmware, flash, memory of devices.
public struct FixedTouches: Hashable, Sendable {
  /// Their pages.
  public var pages = 0
  /// The mappings that these were first made with: one for each page, one for each block.
  public var mappings = 0
  /// The stretches of the size of a level-2 block that they lie in: each has a table of level 3, unless it is a block.
  public var regions = 0

  /// A fault showed `count` pages for the first time.
  fileprivate mutating func note(_ count: Int, isBlock: Bool, _ sample: inout TouchSample) {
    pages += count
    mappings += isBlock ? min(count, 1) : count
    sample.firstFixed += count
  }
}

/// The first fault in a stretch of guest memory of the size of a level-2 block.
public struct FirstTouch: Hashable, Sendable {
  /// The stretch.
  public var gfn: GFN
  /// When.
  public var time: Nanoseconds
}

/// Which pages of a VM faults showed to be in use: touches are a lower bound, ages an upper one.
public struct WorkingSetResult: Sendable {
  /// Pages that were ever shown.
  public var pages: Int
  /// Those of them that a block mapped when they were first shown.
  public var blockPages: Int
  /// What of them is no RAM.
  public var fixed: FixedTouches
  /// By the number of the interval.
  public var samples: [Int: TouchSample]
  /// How many pages were last shown so many intervals before the end.
  public var idle: [Int: Int]
  /// The regions in the order in which they were first touched.
  public var firstTouches: [FirstTouch]
}
