internal import Histogram
public import KVMTypes

/// Durations: how many, their sum and the longest exactly, quantiles to two digits.
struct DurationStatistics {
  private(set) var count = 0
  private(set) var total: UInt64 = 0
  private(set) var longest: UInt64 = 0
  private var histogram = Histogram<UInt32>(numberOfSignificantValueDigits: .two)

  /// One more duration.
  mutating func add(_ duration: UInt64) {
    count += 1
    total &+= duration
    longest = max(longest, duration)
    histogram.record(duration)
  }

  /// The durations of another set, too.
  mutating func merge(_ other: DurationStatistics) {
    count += other.count
    total &+= other.total
    longest = max(longest, other.longest)
    for bucket in other.histogram.recordedValues() { histogram.record(bucket.value, count: bucket.count) }
  }

  var summary: DurationSummary {
    func quantile(_ percent: Double) -> Nanoseconds {
      Nanoseconds(count == 0 ? 0 : min(histogram.valueAtPercentile(percent), longest))
    }
    return DurationSummary(
      count: count, total: Nanoseconds(total), p50: quantile(50), p90: quantile(90), p99: quantile(99),
      p999: quantile(99.9), longest: Nanoseconds(longest))
  }
}

/// What a report says about a set of durations.
public struct DurationSummary: Hashable, Sendable {
  /// How many.
  public var count: Int
  /// Their sum.
  public var total: Nanoseconds
  /// The duration that a share of them does not exceed: 50, 90, 99 and 99.9 percent.
  public var p50: Nanoseconds
  /// The duration that 90 percent do not exceed.
  public var p90: Nanoseconds
  /// The duration that 99 percent do not exceed.
  public var p99: Nanoseconds
  /// The duration that 99.9 percent do not exceed.
  public var p999: Nanoseconds
  /// The longest.
  public var longest: Nanoseconds

  /// Their mean, 0 where there are none.
  public var mean: Nanoseconds { Nanoseconds(count > 0 ? total.rawValue / UInt64(count) : 0) }
}
