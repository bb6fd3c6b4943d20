/// The Cholesky factor of a matrix that grows by one row and column at a time, with ones on the diagonal.
struct Cholesky {
  private(set) var order = 0
  /// The rows of the lower triangle.
  private var rows: [[Double]] = []

  /// The empty matrix.
  init() {}

  /// Adds the row of products with the columns so far; the product of the column with itself is 1.
  ///
  /// - Returns: false, with nothing added, where less than `least` of the column's square is its own: the
  ///   columns so far explain it.
  mutating func append(_ products: [Double], least: Double) -> Bool {
    var row = products
    for i in 0..<order {
      for k in 0..<i { row[i] -= row[k] * rows[i][k] }
      row[i] /= rows[i][i]
    }
    let own = 1 - row.reduce(0) { $0 + $1 * $1 }
    guard own > least else { return false }
    row.append(own.squareRoot())
    rows.append(row)
    order += 1
    return true
  }

  /// The share of a column's square that the columns so far leave unexplained.
  func unexplained(_ products: [Double]) -> Double {
    var copy = self
    guard copy.append(products, least: 0), let pivot = copy.rows.last?.last else { return 0 }
    return pivot * pivot
  }

  /// Solves the equations with `right` on the right side.
  func solve(_ right: [Double]) -> [Double] {
    var x = right
    for i in 0..<order {
      for k in 0..<i { x[i] -= rows[i][k] * x[k] }
      x[i] /= rows[i][i]
    }
    for i in stride(from: order - 1, through: 0, by: -1) {
      for k in (i + 1)..<max(order, i + 1) { x[i] -= rows[k][i] * x[k] }
      x[i] /= rows[i][i]
    }
    return x
  }

  /// The diagonal of the inverse.
  func inverseDiagonal() -> [Double] {
    (0..<order).map { index in
      var unit = [Double](repeating: 0, count: order)
      unit[index] = 1
      return solve(unit)[index]
    }
  }
}
