public import KVMTypes

/// Which pages of a VM faults show to be in use, and when.
///
/// A page counts as touched when a fault on it, or on the block that maps it, leads to an operation. What the guest
/// touches through a mapping that is there leaves no event, so everything here is what is *shown*: touches are a lower
/// bound, ages an upper one. Without a hardware access flag, a host that ages pages makes them show up again.
struct WorkingSet {
  /// One region of the size of a level-2 block that was touched. A guest whose memory is scattered touches but one page of
  /// most: only the second page is worth a byte for each.
  private struct Region {
    /// The only page that was touched, and its stamp, as long as there is but one.
    var page: UInt16 = 0
    var stamp: UInt8 = 0
    /// The place of its pages' stamps, nil before the second one.
    var stamps: Int?
  }

  private var positions = BlockPositions()
  private var regions: ContiguousArray<Region> = []
  /// For each page of a region, the interval of its last touch, plus one; 0 for none.
  private var stamps: ContiguousArray<UInt8> = []
  private var order: [FirstTouch] = []
  private var samples: [TouchSample] = []
  /// Pages that were first shown by a fault on a block.
  private var blockPages = 0
  /// What of all that lies in slots that are no RAM.
  private var fixed = FixedTouches()
  private let shift: UInt64
  private let pages: Int

  init(pageSize: PageSize) {
    shift = pageSize.bitsPerLevel
    pages = Int(pageSize.pagesPerPMD)
  }

  /// A fault shows a page, or the block around it, in use.
  ///
  /// - Parameter isFixed: whether it lies in a slot that is no RAM.
  mutating func touch(
    _ gfn: GFN, isBlock: Bool, isFixed: Bool = false, at time: Nanoseconds, interval: Int
  ) {
    let block = gfn.rawValue >> shift
    let stamp = UInt8(interval + 1)
    let page = Int(gfn.rawValue & (UInt64(pages) - 1))
    while samples.count <= interval { samples.append(TouchSample()) }
    var sample = samples[interval]
    let (region, isNew) = positions.insert(block)
    if isNew {
      regions.append(Region())
      order.append(FirstTouch(gfn: GFN(block << shift), time: time))
      if isFixed { fixed.regions += 1 }
    }
    let known = sample.first
    if !isBlock, regions[region].stamps == nil,
      regions[region].stamp == 0 || Int(regions[region].page) == page
    {
      regions[region].page = UInt16(page)
      Self.touch(&regions[region].stamp, stamp, &sample)
    } else {
      let first = place(ofStamps: region) + (isBlock ? 0 : page)
      for place in first..<first + (isBlock ? pages : 1) { Self.touch(&stamps[place], stamp, &sample) }
      if isBlock { blockPages += sample.first - known }
    }
    if isFixed { fixed.note(sample.first - known, isBlock: isBlock, &sample) }
    samples[interval] = sample
  }

  /// Stamps a page.
  @inline(__always)
  private static func touch(_ page: inout UInt8, _ stamp: UInt8, _ sample: inout TouchSample) {
    if page == stamp { return }
    if page == 0 { sample.first += 1 }
    sample.touched += 1
    page = stamp
  }

  /// Where the stamps of a region's pages are, from now on for each page.
  @inline(__always)
  private mutating func place(ofStamps region: Int) -> Int {
    if let place = regions[region].stamps { return place }
    let place = stamps.count
    stamps.append(contentsOf: repeatElement(0, count: pages))
    stamps[place + Int(regions[region].page)] = regions[region].stamp
    regions[region].stamps = place
    return place
  }

  /// The set as it is when the trace ends.
  ///
  /// - Parameter last: the last interval.
  func result(last: Int) -> WorkingSetResult {
    var counts = [Int](repeating: 0, count: 256)
    for stamp in stamps { counts[Int(stamp)] += 1 }
    for region in regions where region.stamps == nil { counts[Int(region.stamp)] += 1 }
    counts[0] = 0
    var idle: [Int: Int] = [:]
    for (stamp, count) in counts.enumerated() where count > 0 { idle[last - (stamp - 1)] = count }
    let total = counts.reduce(0, +)
    let touched = samples.enumerated().filter { $1.touched > 0 }.map { ($0, $1) }
    return WorkingSetResult(
      pages: total, blockPages: blockPages, fixed: fixed, samples: Dictionary(uniqueKeysWithValues: touched),
      idle: idle,
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
