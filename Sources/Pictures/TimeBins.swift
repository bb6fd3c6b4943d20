public import KVMTypes
public import Stage2Replay

/// What happened in an interval; two that follow each other can become one.
public protocol Mergeable {
  /// Nothing happened.
  init()
  /// What happened in the interval that follows, too.
  mutating func merge(_ next: Self)
}

/// Intervals of equal length over all moments so far, which double where they would be too many: so they need neither know how long a
/// trace is nor be counted again at its end.
public struct TimeBins<Bin: Mergeable> {
  /// The most intervals.
  public static var intervalsMax: Int { 256 }

  /// The length that intervals begin with.
  private let shortest: Nanoseconds
  /// Nil before the first moment.
  private var intervals: EqualIntervals?
  /// One for each interval from the first to the last in which anything happened.
  public private(set) var bins: [Bin] = []

  /// Nothing yet.
  ///
  /// - Parameter shortest: the length that intervals begin with.
  public init(shortest: Nanoseconds = EqualIntervals.shortest) { self.shortest = shortest }

  /// The beginning of the first interval; nothing has happened before it is known.
  public var start: Nanoseconds? { intervals?.start }

  /// The length of an interval.
  public var interval: Nanoseconds { intervals?.length ?? shortest }

  /// Where an interval begins.
  public func begin(of index: Int) -> Nanoseconds { intervals?.begin(of: index) ?? Nanoseconds(0) }

  /// Something happens at a moment, which counts with the interval that holds it.
  public mutating func with(_ time: Nanoseconds, _ body: (inout Bin) -> Void) {
    let intervals = reach(from: time, to: time)
    body(&bins[intervals.position(of: time)])
  }

  /// Something lasts for a while, and each interval counts the part of it that it covers; the parts add up to the whole.
  public mutating func spread(
    from begin: Nanoseconds, _ duration: Nanoseconds, _ body: (inout Bin, _ part: UInt64) -> Void
  ) {
    // The end is the first moment behind it.
    let last = max(begin, begin + duration - Nanoseconds(duration > Nanoseconds(0) ? 1 : 0))
    let intervals = reach(from: begin, to: last)
    intervals.cut(from: begin, duration) { body(&bins[$0], $1) }
  }

  /// Sees to it that there are intervals for all moments between two.
  private mutating func reach(from first: Nanoseconds, to last: Nanoseconds) -> EqualIntervals {
    var intervals = intervals ?? EqualIntervals(from: first, length: shortest)
    while intervals.missing(before: first) + max(bins.count, intervals.position(of: last) + 1)
      > Self.intervalsMax
    {
      intervals.double()
      unitePairs()
    }
    // What comes late may lie before all others.
    let missing = intervals.missing(before: first)
    if missing > 0 {
      intervals.prepend(missing)
      bins.insert(contentsOf: repeatElement(Bin(), count: missing), at: 0)
    }
    while bins.count <= intervals.position(of: last) { bins.append(Bin()) }
    self.intervals = intervals
    return intervals
  }

  /// Two intervals become one.
  private mutating func unitePairs() {
    for position in stride(from: 0, to: bins.count, by: 2) {
      var bin = bins[position]
      if position + 1 < bins.count { bin.merge(bins[position + 1]) }
      bins[position / 2] = bin
    }
    bins.removeLast(bins.count / 2)
  }
}

extension TimeBins: Sendable where Bin: Sendable {}
