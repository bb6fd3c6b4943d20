public import KVMTypes

/// Which pages of a VM faults show to be in use, and when.
///
/// A page counts as touched when a fault on it, or on the block that maps it, leads to an operation. What the guest
/// touches through a mapping that is there leaves no event, so everything here is what is *shown*: touches are a lower
/// bound, ages an upper one. Without a hardware access flag, a host that ages pages makes them show up again.
struct WorkingSet {
  /// For each region of the size of a level-2 block that was touched, the interval of the last touch of each page, plus
  /// one; 0 for none.
  private var regions: [FrameKey: [UInt8]] = [:]
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
    let region = FrameKey(gfn.rawValue >> shift)
    let stamp = UInt8(interval + 1)
    let first = isBlock ? 0 : Int(gfn.rawValue & (UInt64(pages) - 1))
    let count = isBlock ? pages : 1
    while samples.count <= interval { samples.append(TouchSample()) }
    var sample = samples[interval]
    if regions[region] == nil {
      regions[region] = Array(repeating: 0, count: pages)
      order.append(FirstTouch(gfn: GFN(region.value << shift), time: time))
      if isFixed { fixed.regions += 1 }
    }
    let known = sample.first
    regions[region]!.withUnsafeMutableBufferPointer { stamps in
      for page in first..<first + count where stamps[page] != stamp {
        if stamps[page] == 0 {
          sample.first += 1
          if isBlock { blockPages += 1 }
        }
        sample.touched += 1
        stamps[page] = stamp
      }
    }
    if isFixed { fixed.note(sample.first - known, isBlock: isBlock, &sample) }
    samples[interval] = sample
  }

  /// The set as it is when the trace ends.
  ///
  /// - Parameter last: the last interval.
  func result(last: Int) -> WorkingSetResult {
    var idle: [Int: Int] = [:]
    var total = 0
    for stamps in regions.values {
      for stamp in stamps where stamp != 0 {
        idle[last - (Int(stamp) - 1), default: 0] += 1
        total += 1
      }
    }
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
