public import Histogram
public import KVMTypes

/// Lengths of time of one kind: how many, their sum, the longest, and how they are distributed.
@frozen
public struct SimulatedTimes: Sendable {
  /// How many there are.
  public var count: Int { Int(histogram.totalCount) }
  /// Their sum; at the end of the range where it does not fit.
  public private(set) var total = Nanoseconds(0)
  /// The longest, exactly.
  public private(set) var max = Nanoseconds(0)
  /// All of them, to two significant digits.
  public private(set) var histogram = Histogram<UInt64>(numberOfSignificantValueDigits: .two)

  /// None yet.
  public init() {}

  /// One more.
  mutating func record(_ length: UInt64) {
    total = total + Nanoseconds(length)
    if length > max.rawValue { max = Nanoseconds(length) }
    // The histogram's range ends at half of that of the clock.
    let length = Swift.min(length, 1 << 62)
    if length > histogram.highestTrackableValue { widen(to: length) }
    histogram.record(length)
  }

  /// Makes room for longer times: a new histogram that takes over the counts of this one, where it would append to itself
  /// one by one.
  private mutating func widen(to length: UInt64) {
    var wider = Histogram<UInt64>(
      highestTrackableValue: histogram.highestEquivalentForValue(length), numberOfSignificantValueDigits: .two
    )
    wider.autoResize = true
    wider.add(histogram)
    histogram = wider
  }

  /// Adds those of `other`.
  mutating func add(_ other: SimulatedTimes) {
    total = total + other.total
    max = Swift.max(max, other.max)
    if other.histogram.highestTrackableValue > histogram.highestTrackableValue {
      var wider = other.histogram
      wider.add(histogram)
      histogram = wider
    } else {
      histogram.add(other.histogram)
    }
  }

  /// Their mean in nanoseconds, 0 if there are none.
  public var mean: Double { count == 0 ? 0 : Double(total.rawValue) / Double(count) }

  /// The length that the share `fraction`, from 0 to 1, does not exceed, to two significant digits and never
  /// above the longest; 0 if there are none.
  public func quantile(_ fraction: Double) -> Nanoseconds {
    if count == 0 { return Nanoseconds(0) }
    return min(max, Nanoseconds(histogram.valueAtPercentile(100 * fraction)))
  }
}
