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

  /// The shortest interval of a clock of nanoseconds: a microsecond.
  private static let shortest: UInt64 = 1000

  /// The grid over `[first, last]`: the shortest intervals of 1, 2 or 5 times a power of ten that are not too many, from a
  /// microsecond on, or from a tick on where the stamps are of a clock that counts those.
  public init(from first: Nanoseconds, to last: Nanoseconds, isOfTicks: Bool = false) {
    self.isOfTicks = isOfTicks
    let span = last > first ? last.rawValue - first.rawValue : 0
    var power: UInt64 = isOfTicks ? 1 : Self.shortest
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
  public func index(of time: Nanoseconds) -> Int {
    guard time > start else { return 0 }
    return min(Int(clamping: (time.rawValue - start.rawValue) / interval.rawValue), count - 1)
  }

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
  public func start(of index: Int) -> Nanoseconds {
    start + Nanoseconds(UInt64(index).multipliedSaturated(by: interval.rawValue))
  }

  /// Where an interval ends.
  public func end(of index: Int) -> Nanoseconds { start(of: index + 1) }
}
