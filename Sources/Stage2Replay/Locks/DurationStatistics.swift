public import KVMTypes

/// Durations: how many, their sum and the longest exactly, quantiles to two digits.
struct DurationStatistics {
  private(set) var count = 0
  /// The greatest number where the sum is beyond it.
  private(set) var total: UInt64 = 0
  private(set) var longest: UInt64 = 0
  private var counts = DurationCounts()

  /// One more duration.
  @inline(__always)
  mutating func add(_ duration: UInt64) {
    count += 1
    total = total.addingSaturated(duration)
    longest = max(longest, duration)
    counts.add(duration)
  }

  /// The durations of another set, too.
  mutating func merge(_ other: DurationStatistics) {
    count += other.count
    total = total.addingSaturated(other.total)
    longest = max(longest, other.longest)
    counts.merge(other.counts)
  }

  /// What a report says of them, nil where there are none.
  var summary: DurationSummary? {
    guard count > 0 else { return nil }
    let quantiles = counts.durations(atRanks: [50, 90, 99, 99.9].map(rank(ofPercent:))).map {
      Nanoseconds(min($0, longest))
    }
    return DurationSummary(
      count: count, total: Nanoseconds(total), p50: quantiles[0], p90: quantiles[1], p99: quantiles[2],
      p999: quantiles[3], longest: Nanoseconds(longest))
  }

  /// The rank of the duration that a share of all does not exceed, from 1 on. A little less than the share is taken, lest
  /// rounding reach over into the next rank.
  private func rank(ofPercent percent: Double) -> UInt64 {
    max(1, UInt64((percent.nextDown * Double(count) / 100).rounded(.up)))
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
