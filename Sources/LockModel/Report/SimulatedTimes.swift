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
    let (sum, overflows) = total.rawValue.addingReportingOverflow(length)
    total = Nanoseconds(overflows ? .max : sum)
    if length > max.rawValue { max = Nanoseconds(length) }
    // The histogram's range ends at half of that of the clock.
    histogram.record(Swift.min(length, 1 << 62))
  }

  /// Adds those of `other`.
  mutating func add(_ other: SimulatedTimes) {
    let (sum, overflows) = total.rawValue.addingReportingOverflow(other.total.rawValue)
    total = Nanoseconds(overflows ? .max : sum)
    max = Swift.max(max, other.max)
    histogram.add(other.histogram)
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
