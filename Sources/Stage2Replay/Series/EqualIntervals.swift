public import KVMTypes

/// Intervals of equal length from a moment on, as many as there may be time: where each lies, which holds a moment, and how much of a
/// stretch lies in which. What has a limited number of them doubles them where they would be too many.
public struct EqualIntervals: Hashable, Sendable {
  /// The length that those begin with that double, of a clock that counts nanoseconds: a microsecond.
  public static let shortest = Nanoseconds(1000)

  /// The same of any clock: where it counts ticks, one may be an event.
  public static func shortest(isOfTicks: Bool) -> Nanoseconds { isOfTicks ? Nanoseconds(1) : shortest }

  /// The beginning of the first one.
  public private(set) var start: Nanoseconds
  /// The length of each.
  public private(set) var length: Nanoseconds
  /// How many times they were doubled.
  public private(set) var doublings = 0

  /// Intervals from `start` on.
  public init(from start: Nanoseconds, length: Nanoseconds = Self.shortest) {
    (self.start, self.length) = (start, length)
  }

  /// Where one begins; the end of time for one behind that.
  public func begin(of position: Int) -> Nanoseconds {
    start + Nanoseconds(UInt64(position).multipliedSaturated(by: length.rawValue))
  }

  /// Where one ends.
  public func end(of position: Int) -> Nanoseconds { begin(of: position + 1) }

  /// The one that holds a moment; the first one for what lies before it.
  public func position(of time: Nanoseconds) -> Int {
    time > start ? Int(clamping: (time.rawValue - start.rawValue) / length.rawValue) : 0
  }

  /// Two become one.
  public mutating func double() {
    length = Nanoseconds(length.rawValue.multipliedSaturated(by: 2))
    doublings += 1
  }

  /// How many of the same length have to come before the first one for a moment before it to lie in one; 0 where they would begin before
  /// all time.
  public func missing(before time: Nanoseconds) -> Int {
    guard time < start else { return 0 }
    let count = (start.rawValue - time.rawValue - 1) / length.rawValue + 1
    return count.multipliedSaturated(by: length.rawValue) <= start.rawValue ? Int(clamping: count) : 0
  }

  /// So many more come before the first one, no more than are `missing`.
  public mutating func prepend(_ count: Int) {
    start = Nanoseconds(start.rawValue - UInt64(count) * length.rawValue)
  }

  /// Cuts a stretch where intervals end. The parts add up to the whole: what lies before the first interval counts with it, and what
  /// lies behind the last of `count` with that.
  ///
  /// - Parameter body: receives the position of each interval that the stretch has a part in, and the part.
  public func cut(
    from begin: Nanoseconds, _ duration: Nanoseconds, count: Int = .max,
    _ body: (_ position: Int, _ part: UInt64) -> Void
  ) {
    let end = begin + duration
    var (position, from) = (min(position(of: begin), count - 1), begin)
    while position < count - 1, self.end(of: position) < end {
      let next = self.end(of: position)
      body(position, next.rawValue - from.rawValue)
      (position, from) = (position + 1, next)
    }
    body(position, end.rawValue - from.rawValue)
  }
}
