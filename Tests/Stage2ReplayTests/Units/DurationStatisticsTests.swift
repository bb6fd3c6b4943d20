import Histogram
import KVMTypes
import SeededRandom
import Testing

@testable import Stage2Replay

/// Quantiles against those of HdrHistogram, whose cells they are counted in.
@Suite("Statistics of durations")
struct DurationStatisticsTests {
  /// Durations of all sizes up to half of the clock's range, which is as far as HdrHistogram goes.
  static func durations(_ count: Int, seed: UInt64) -> [UInt64] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in random.next() >> (1 + random.below(64 as UInt64)) }
  }

  static func quantiles(_ durations: [UInt64]) -> [UInt64] {
    var histogram = Histogram<UInt32>(numberOfSignificantValueDigits: .two)
    for duration in durations { histogram.record(duration) }
    return [50, 90, 99, 99.9].map { histogram.valueAtPercentile($0) }
  }

  @Test("Quantiles are those of HdrHistogram", arguments: [1, 2, 9, 10, 99, 100, 101, 1000, 5000])
  func quantiles(count: Int) throws {
    let durations = Self.durations(count, seed: UInt64(count))
    var statistics = DurationStatistics()
    for duration in durations { statistics.add(duration) }
    let summary = try #require(statistics.summary)
    #expect(
      [summary.p50, summary.p90, summary.p99, summary.p999].map(\.rawValue) == Self.quantiles(durations))
    #expect(summary.count == count && summary.longest.rawValue == durations.max())
  }

  @Test("Two sets merged are one set of all durations", arguments: [(0, 3), (3, 0), (40, 700)])
  func merge(counts: (Int, Int)) throws {
    let first = Self.durations(counts.0, seed: 7).map { $0 >> 20 }
    let second = Self.durations(counts.1, seed: 8)
    var (statistics, others) = (DurationStatistics(), DurationStatistics())
    for duration in first { statistics.add(duration) }
    for duration in second { others.add(duration) }
    statistics.merge(others)
    let summary = try #require(statistics.summary)
    #expect(
      [summary.p50, summary.p90, summary.p99, summary.p999].map(\.rawValue) == Self.quantiles(first + second))
    #expect(summary.total.rawValue == (first + second).reduce(0) { $0.addingSaturated($1) })
  }

  @Test("The edges of cells: short durations are exact, long ones rounded up, the longest is never exceeded")
  func edges() {
    func middle(_ durations: UInt64...) -> UInt64? {
      var statistics = DurationStatistics()
      for duration in durations { statistics.add(duration) }
      return statistics.summary?.p50.rawValue
    }
    #expect(middle() == nil)
    #expect(middle(0) == 0)
    #expect(middle(255, 1000, 1000) == 1000)
    #expect(middle(255, 255, 1000) == 255)
    #expect(middle(256, 256, 1000) == 257)
    #expect(middle(512, 1000) == 515)
    #expect(middle(1024, .max) == 1031)
    #expect(middle(.max) == .max)
  }
}
