/// How many of something exist: now, at most, and ever. Nothing has so many pages or objects that a count could overflow.
///
/// Most of what is counted comes into existence at a fault, several counts at once, and goes seldom: so what comes changes
/// one number, and the peak is looked for when something goes.
@frozen
public struct LiveCount: Hashable, Sendable {
  /// How many came into existence since the beginning.
  public private(set) var added = 0
  /// How many ceased to exist since the beginning.
  public private(set) var removed = 0
  /// The most that existed at one moment before something ceased to exist.
  private var peakBefore = 0

  /// None yet.
  public init() {}

  /// How many exist now.
  public var live: Int { added &- removed }

  /// The most that existed at one moment.
  public var peak: Int { max(peakBefore, live) }

  /// Whether as many exist, existed at most, and came into existence.
  public static func == (a: LiveCount, b: LiveCount) -> Bool {
    a.added == b.added && a.removed == b.removed && a.peak == b.peak
  }

  /// What is compared enters the hash.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(added)
    hasher.combine(removed)
    hasher.combine(peak)
  }

  /// `count` more exist.
  @inline(__always)
  public mutating func add(_ count: Int = 1) { added &+= count }

  /// None of them exists any more.
  func released() -> LiveCount {
    var count = self
    count.peakBefore = peak
    count.removed = added
    return count
  }

  /// `count` fewer exist. Removing what does not exist is a fault of the model and stops the program.
  @inline(__always)
  public mutating func remove(_ count: Int = 1) {
    let live = live
    precondition(count <= live, "more removed than exists")
    if live > peakBefore { peakBefore = live }
    removed &+= count
  }
}
