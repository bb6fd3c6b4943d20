/// The sums that a least-squares fit needs of its rows, collected one row at a time: memory does not grow with
/// the number of rows.
public struct NormalEquations: Sendable {
  /// How many terms a row has.
  public let terms: Int
  /// Rows so far.
  public private(set) var rows = 0
  /// The sum of the weights.
  private(set) var weight = 0.0
  /// Products of two terms, summed: row by row, the upper triangle alone.
  private var products: [Double]
  /// Products of each term and the value.
  private(set) var moments: [Double]
  /// The sums of the values and of their squares.
  private(set) var valueSum = 0.0
  private(set) var valueSquares = 0.0
  /// The terms of a row that are not 0.
  private var present: [Int] = []

  /// No rows yet.
  public init(terms: Int) {
    precondition(terms > 0, "a fit needs terms")
    self.terms = terms
    products = Array(repeating: 0, count: terms * terms)
    moments = Array(repeating: 0, count: terms)
    present.reserveCapacity(terms)
  }

  /// One more row: `value` is to be the sum of `row` times the coefficients. A row that is not finite, or whose
  /// weight is not positive, is left out.
  ///
  /// - Returns: whether the row was taken.
  @discardableResult
  public mutating func add(_ row: [Double], value: Double, weight: Double = 1) -> Bool {
    add(row, count: 1, values: value, squares: value * value, weight: weight)
  }

  /// `count` more rows that are the same, each of `weight`: `values` and `squares` are the sums of their values and
  /// of the squares of these. Rows that are not finite, or whose weight is not positive, are left out.
  ///
  /// - Returns: whether the rows were taken.
  @discardableResult
  public mutating func add(
    _ row: [Double], count: Int, values: Double, squares: Double, weight: Double = 1
  ) -> Bool {
    precondition(row.count == terms, "a row has one number for each term")
    guard values.isFinite, squares.isFinite, weight.isFinite, weight > 0, row.allSatisfy(\.isFinite) else {
      return false
    }
    rows += count
    let all = weight * Double(count)
    self.weight += all
    valueSum += weight * values
    valueSquares += weight * squares
    present.removeAll(keepingCapacity: true)
    for index in 0..<terms where row[index] != 0 { present.append(index) }
    for (place, i) in present.enumerated() {
      let factor = all * row[i]
      moments[i] += weight * row[i] * values
      for j in present[place...] { products[i * terms + j] += factor * row[j] }
    }
    return true
  }

  /// The sum of the products of terms `i` and `j`.
  func product(_ i: Int, _ j: Int) -> Double { products[min(i, j) * terms + max(i, j)] }

  /// The sum of the squares that `coefficients` leave unexplained.
  public func residualSquares(_ coefficients: [Double]) -> Double {
    var sum = valueSquares
    for i in 0..<terms where coefficients[i] != 0 {
      sum -= 2 * coefficients[i] * moments[i]
      for j in 0..<terms { sum += coefficients[i] * coefficients[j] * product(i, j) }
    }
    // Rounding can leave a sum of squares slightly below 0.
    return max(0, sum)
  }

  /// The share of the values' variance that `coefficients` explain; nil where the values do not vary.
  public func rSquared(_ coefficients: [Double]) -> Double? {
    guard weight > 0 else { return nil }
    let variation = valueSquares - valueSum * valueSum / weight
    // What rounding alone can leave of a variation that is 0.
    guard variation > 1e-12 * valueSquares else { return nil }
    return 1 - residualSquares(coefficients) / variation
  }
}
