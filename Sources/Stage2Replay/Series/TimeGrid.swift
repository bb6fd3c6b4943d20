public import KVMTypes

/// Intervals of equal length that cover a trace: what every series of a report counts in.
public struct TimeGrid: Hashable, Sendable {
  /// The most intervals that a grid has.
  public static let intervalsMax = 200

  /// The beginning of the first interval.
  public let start: Nanoseconds
  /// The length of an interval.
  public let interval: Nanoseconds
  /// How many there are, 1 at least.
  public let count: Int
  /// Whether times are ticks of a clock that does not count nanoseconds.
  public let isOfTicks: Bool

  /// The grid over `[first, last]`: the shortest intervals of 1, 2 or 5 times a power of ten that are not too many, from a
  /// microsecond on, or from a tick on where the stamps are of a clock that counts those.
  public init(from first: Nanoseconds, to last: Nanoseconds, isOfTicks: Bool = false) {
    self.isOfTicks = isOfTicks
    let span = last > first ? last.rawValue - first.rawValue : 0
    var power = EqualIntervals.shortest(isOfTicks: isOfTicks).rawValue
    var length = power
    while span / length >= UInt64(Self.intervalsMax) {
      switch length / power {
      case 1: length = 2 * power
      case 2: length = 5 * power
      default:
        power *= 10
        length = power
      }
    }
    start = first
    interval = Nanoseconds(length)
    count = Int(span / length) + 1
  }

  /// The interval that holds `time`; what lies outside counts with the first or the last one.
  public func index(of time: Nanoseconds) -> Int { min(intervals.position(of: time), count - 1) }

  /// Cuts a stretch of time where intervals end; the parts add up to the whole.
  ///
  /// - Parameter body: receives each interval that the stretch has a part in, and the part.
  func cut(from begin: Nanoseconds, _ duration: Nanoseconds, _ body: (_ index: Int, _ part: UInt64) -> Void) {
    intervals.cut(from: begin, duration, count: count, body)
  }

  private var intervals: EqualIntervals { EqualIntervals(from: start, length: interval) }

  /// The interval of the moment that was asked for last. Most moments that follow lie in it, too, and need no division.
  struct Cursor {
    private var index = 0
    private var begin = Nanoseconds(0)
    private var end = Nanoseconds(0)

    /// The interval of `grid`, always the same one, that holds `time`.
    @inline(__always)
    mutating func index(of time: Nanoseconds, _ grid: TimeGrid) -> Int {
      if time < begin || time >= end { move(to: time, grid) }
      return index
    }

    @inline(never)
    private mutating func move(to time: Nanoseconds, _ grid: TimeGrid) {
      index = grid.index(of: time)
      begin = grid.start(of: index)
      end = grid.end(of: index)
    }
  }

  /// Where an interval begins; the end of time for one behind that. A damaged stamp may be so late that the last one ends
  /// there.
  public func start(of index: Int) -> Nanoseconds { intervals.begin(of: index) }

  /// Where an interval ends.
  public func end(of index: Int) -> Nanoseconds { start(of: index + 1) }
}
