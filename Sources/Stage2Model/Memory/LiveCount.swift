/// How many of something exist: now, at most, and ever. Nothing has so many pages or objects that a count could overflow.
@frozen
public struct LiveCount: Hashable, Sendable {
  /// How many exist now.
  public private(set) var live: Int
  /// The most that existed at one moment.
  public private(set) var peak: Int
  /// How many came into existence since the beginning.
  public private(set) var added: Int

  /// None yet.
  public init() {
    live = 0
    peak = 0
    added = 0
  }

  /// How many ceased to exist since the beginning.
  @inlinable
  public var removed: Int { added - live }

  /// `count` more exist.
  @inline(__always)
  public mutating func add(_ count: Int = 1) {
    live &+= count
    added &+= count
    if live > peak { peak = live }
  }

  /// None of them exists any more.
  func released() -> LiveCount {
    var count = self
    count.live = 0
    return count
  }

  /// `count` fewer exist. Removing what does not exist is a fault of the model and stops the program.
  public mutating func remove(_ count: Int = 1) {
    precondition(count <= live, "more removed than exists")
    live &-= count
  }
}
