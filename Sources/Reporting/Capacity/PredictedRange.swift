internal import Glibc

/// Where a figure of one more VM of the recorded kind is to be expected, 19 times of 20.
///
/// The rule, made for few samples: the 95 % prediction interval of a normal distribution of the logarithms, by Student's t
/// for the number of samples, from that of the least that the samples had in the last quarter of their time to that of
/// their peaks; no closer than a tenth beyond the least and the most of the samples, for a few equal samples show no
/// spread; and never outside what is possible, from nothing touched to everything touched by pages. One sample shows no
/// spread at all: then it is what is possible.
public struct PredictedRange: Sendable, Encodable {
  /// The least.
  public let least: UInt64
  /// The most.
  public let most: UInt64
  /// How many VMs it is computed from.
  public let samples: Int
  /// Whether it is all that is possible: then the VMs tell nothing of the next one.
  public let isAllPossible: Bool

  /// The rule, in words.
  static let rule =
    "19 of 20 VMs of this kind: Student's t on logarithms, from the last quarter's least to the peak"
  private static let margin = 1.1

  init(_ samples: [(low: Double?, high: Double)], possible: ClosedRange<Double>) {
    let all = UInt64(possible.lowerBound)...UInt64(possible.upperBound.rounded(.up))
    self.samples = samples.count
    guard samples.count > 1 else {
      (least, most, isAllPossible) = (all.lowerBound, all.upperBound, true)
      return
    }
    let low = samples.compactMap(\.low).map { max($0, 1) }
    let high = samples.map { max($0.high, 1) }
    // Where it is not known how little one of them had, nothing but what is possible is known of the next.
    let lower =
      low.count < samples.count
      ? possible.lowerBound : min(Self.interval(low).lowerBound, low.min()! / Self.margin)
    let upper = max(Self.interval(high).upperBound, high.max()! * Self.margin)
    least = UInt64(max(lower, possible.lowerBound).rounded(.down))
    most = max(least, UInt64(min(upper, possible.upperBound).rounded(.up)))
    isAllPossible = least...most == all
  }

  private init(_ range: PredictedRange, less: UInt64, more: UInt64) {
    least = range.least - min(less, range.least)
    most = range.most + more
    samples = range.samples
    isAllPossible = range.isAllPossible
  }

  /// The same with so many bytes less and more.
  func widened(_ less: UInt64, _ more: UInt64) -> PredictedRange {
    PredictedRange(self, less: less, more: more)
  }

  private static func interval(_ values: [Double]) -> ClosedRange<Double> {
    let logs = values.map { log($0) }
    let count = Double(logs.count)
    let mean = logs.reduce(0, +) / count
    let variance = logs.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
    let half = studentT(logs.count - 1) * (variance * (1 + 1 / count)).squareRoot()
    return exp(max(mean - half, -700))...exp(min(mean + half, 40))
  }

  /// The 97.5th percentile of Student's t with so many degrees of freedom, never too small.
  private static func studentT(_ freedom: Int) -> Double {
    let table = [12.71, 4.31, 3.19, 2.78, 2.58, 2.45, 2.37, 2.31, 2.27, 2.23]
    if freedom <= table.count { return table[freedom - 1] }
    return freedom < 20 ? 2.23 : freedom < 30 ? 2.09 : freedom < 60 ? 2.05 : 2.01
  }
}
