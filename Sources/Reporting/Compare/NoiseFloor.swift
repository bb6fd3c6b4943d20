/// What chance makes of the difference between the means of two groups of recordings.
///
/// The recordings of a side are taken to be repetitions of one thing, so that they differ by chance alone, and both sides to
/// vary alike. The variance within the sides, pooled, gives the standard error of the difference of their means; times
/// Student's t for the recordings that there are, it gives the half-width of a 99 % confidence interval, which is the floor: of
/// differences that mean nothing one in a hundred lies beyond it. Few recordings make it wide: t is 63.7 for two on one side
/// and one on the other, 9.9 for two and two, 4.6 for three and three.
///
/// A figure that moves in steps is known to a step only: its variance is at least that of rounding.
struct NoiseFloor {
  /// How sure a difference beyond the floor is.
  static let confidence = 0.99

  /// Half the width of the interval, nil where no side has two values.
  static func halfWidth(_ before: [Double], _ after: [Double], step: Double) -> Double? {
    let freedom = before.count + after.count - 2
    guard !before.isEmpty, !after.isEmpty, freedom > 0 else { return nil }
    let variance = (squares(before) + squares(after)) / Double(freedom)
    let pooled = max(variance, step * step / 12)
    return quantile(freedom) * (pooled * (1 / Double(before.count) + 1 / Double(after.count))).squareRoot()
  }

  static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(values.count, 1)) }

  private static func squares(_ values: [Double]) -> Double {
    let mean = mean(values)
    return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
  }

  /// Student's t that one value of 200 exceeds, by the degrees of freedom.
  static func quantile(_ freedom: Int) -> Double {
    let table = [
      63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012, 2.977,
      2.947,
      2.921, 2.898, 2.878, 2.861, 2.845,
    ]
    if freedom <= table.count { return table[max(freedom, 1) - 1] }
    // Cornish and Fisher's expansion around the normal distribution's quantile.
    let (z, n) = (2.5758293, Double(freedom))
    let third = z * z * z
    return z + (third + z) / (4 * n) + (5 * third * z * z + 16 * third + 3 * z) / (96 * n * n)
  }
}
