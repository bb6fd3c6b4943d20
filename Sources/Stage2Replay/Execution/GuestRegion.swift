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
  /// Whether it is a page or a block is an assumption.
  static let isSizeAssumed = LeafKnowledge(rawValue: 64)
  /// It permitted writing since it was mapped: the host may write there, whatever dirty logging took away since.
  static let wasWritable = LeafKnowledge(rawValue: 128)
}

/// What is kept of one page of a region.
struct GuestPage: Hashable {
  /// How its leaf is known.
  var knowledge: LeafKnowledge = []
  /// The interval in which a fault last showed the page in use, plus one; 0 for none.
  var stamp: UInt8 = 0
}

/// One stretch of guest memory of the size of a level-2 block: all that a fault and its operation look up of it, side by side,
/// for it fills one line of the cache.
struct GuestRegion {
  /// Where its table of level 3 appeared, or its block.
  var tableInstalledAt = Sequence.start
  var blockInstalledAt = Sequence.start
  /// Where pages last took the place of a block, or the other way round.
  var resizedAt = Sequence.start
  /// Where an access flag fault last made one of its leaves young.
  var madeYoungAt = Sequence.start
  /// The epoch in which a fault showed that nothing was mapped here.
  var emptyIn = Epoch.never
  /// The epoch of which its pages' knowledge is.
  var epoch = Epoch.never
  /// What is kept of its pages and events.
  var kept = Kept()
  /// Of its block, where it is mapped by one.
  var blockKnowledge: LeafKnowledge = []
  /// What is known of the host's memory behind it.
  var host = HostRegion()
  private var signs: Signs = []

  private struct Signs: OptionSet {
    var rawValue: UInt8
    static let block = Signs(rawValue: 1)
    static let unseenMappings = Signs(rawValue: 2)
    static let inUse = Signs(rawValue: 4)
    static let lacksPages = Signs(rawValue: 8)
    static let split = Signs(rawValue: 16)
    static let partlyUnmapped = Signs(rawValue: 32)
  }

  /// A map whose size is an assumption was made where the model has pages: it may have put a block in their place, or have
  /// been one.
  var mayBeBlock: Bool {
    get { signs[.block] }
    set {
      signs[.block] = newValue
      if !newValue { signs[.partlyUnmapped] = false }
    }
  }
  /// A part of it was unmapped while it may have been a block: if it was one, nothing is mapped here now.
  var mayBeGone: Bool { signs[.partlyUnmapped] }
  /// Something of it is mapped.
  mutating func noteHeld() { signs[.partlyUnmapped] = false }
  /// Something of it is unmapped.
  mutating func noteUnmapped() {
    if mayBeBlock { signs[.partlyUnmapped] = true }
  }
  /// A fault is assumed to have mapped nothing here.
  var mayHaveUnseenMappings: Bool {
    get { signs[.unseenMappings] }
    set { signs[.unseenMappings] = newValue }
  }
  /// Pages may be mapped, and young, that the model lacks: what it did about them was an assumption, which did not hold or may
  /// not.
  var mayLackPages: Bool {
    get { signs[.lacksPages] }
    set {
      signs[.lacksPages] = newValue
      if newValue { signs[.unseenMappings] = true }
    }
  }
  /// Logging began where a block is mapped: KVM may have split that into pages, which leaves no event.
  var mayBeSplit: Bool {
    get { signs[.split] }
    set { signs[.split] = newValue }
  }
  /// Whether a fault showed any of its memory in use.
  var isInUse: Bool {
    get { signs[.inUse] }
    set { signs[.inUse] = newValue }
  }

  /// Whether its pages may have one leaf where the model has many, or the other way round.
  @inline(__always)
  var isSizeInDoubt: Bool { signs.contains(.block) || blockKnowledge.contains(.isSizeAssumed) }

  /// What is kept of a region's pages and events. A guest whose memory is scattered has but one page and one event in most
  /// regions: room for all of a region's pages and for more events is taken when the second comes.
  struct Kept {
    /// Where its pages are, nil as long as there is but one of which anything is known.
    var pages: RegionPlace?
    /// Where its events are, nil before the second one.
    var events: RegionPlace?
    /// How many events it has seen, as far as that tells where the next one lies: at most twice as many as are kept.
    var eventCount: UInt8 = 0
    /// That page, and what is known of it.
    var number: UInt16 = 0
    var page = GuestPage()
  }
}

/// Where in a table of pages, or of events, those of a region begin: counted in regions, so that four bytes are enough.
struct RegionPlace {
  private let number: UInt32

  /// - Parameter count: how many regions have their place before this one.
  init(after count: Int) { number = UInt32(count) }

  /// The position of the first.
  @inline(__always)
  func first(_ countOfEach: Int) -> Int { Int(number) &* countOfEach }
}
