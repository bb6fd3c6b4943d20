import SeededRandom

/// Samples for a fit.
struct Random {
  private var numbers: SplitMix64

  init(_ seed: UInt64) { numbers = SplitMix64(seed: seed &* 0x9e37_79b9_7f4a_7c15) }

  mutating func next() -> UInt64 { numbers.next() }

  /// A number below `bound`.
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  /// A number from -1 to 1.
  mutating func signed() -> Double { Double(Int64(bitPattern: next())) * 0x1p-63 }

  /// Noise with mean 0 and variance 1: a sum of twelve uniform numbers.
  mutating func noise() -> Double { (0..<12).reduce(0) { sum, _ in sum + signed() } / 2 }
}

/// The least squares of `rows` over the columns in `columns`, by elimination on the normal equations; nil where
/// they are singular. Negative coefficients are allowed.
func naiveFit(_ rows: [[Double]], _ values: [Double], columns: [Int]) -> [Double]? {
  let n = columns.count
  var matrix = columns.map { i in
    columns.map { j in zip(rows, rows).reduce(0) { $0 + $1.0[i] * $1.1[j] } }
      + [zip(rows, values).reduce(0) { $0 + $1.0[i] * $1.1 }]
  }
  for pivot in 0..<n {
    let best = (pivot..<n).max { abs(matrix[$0][pivot]) < abs(matrix[$1][pivot]) }!
    matrix.swapAt(pivot, best)
    if abs(matrix[pivot][pivot]) < 1e-9 { return nil }
    for row in 0..<n where row != pivot {
      let factor = matrix[row][pivot] / matrix[pivot][pivot]
      for column in pivot...n { matrix[row][column] -= factor * matrix[pivot][column] }
    }
  }
  return (0..<n).map { matrix[$0][n] / matrix[$0][$0] }
}

/// The squares that `coefficients` leave, from the rows themselves.
func squares(_ rows: [[Double]], _ values: [Double], _ coefficients: [Double]) -> Double {
  zip(rows, values).reduce(0) { sum, sample in
    let modelled = zip(sample.0, coefficients).reduce(0) { $0 + $1.0 * $1.1 }
    return sum + (sample.1 - modelled) * (sample.1 - modelled)
  }
}
