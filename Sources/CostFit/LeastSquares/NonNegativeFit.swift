/// The coefficients, none of them negative, that leave the least sum of squares: Lawson and Hanson's method
/// (Solving Least Squares Problems, 1974, chapter 23) on the normal equations, with every column scaled to
/// length 1.
public struct NonNegativeFit: Sendable {
  /// What became of a term.
  public enum Term: Hashable, Sendable {
    /// It has a coefficient; the standard error counts the terms at 0 as known to be 0, and is nil where there
    /// are no more rows than coefficients.
    case fitted(standardError: Double?)
    /// The rows ask for nothing, or for less than 0: the coefficient is 0.
    case atZero
    /// The fitted terms say the same in other words: the coefficient is 0, and its share is in theirs.
    case dependent
    /// No row has it: nothing is known.
    case absent
  }

  /// One for each term, 0 or above.
  public let coefficients: [Double]
  /// What became of each term.
  public let terms: [Term]
  /// The share of the values' variance that is explained; nil where they do not vary.
  public let rSquared: Double?
  /// The standard deviation of what is not explained; nil where there are no more rows than coefficients.
  public let residualDeviation: Double?
  /// The rows.
  public let rows: Int

  /// A column is taken for a combination of others if less than this share of its square is its own. The
  /// products are exact to about 1e-16 of themselves, so what is left is known to a part in a million.
  static let independence = 1e-10
  /// A slope below this, with columns and values of length 1, is rounding.
  static let flat = 1e-12

  /// Fits `equations`.
  public init(_ equations: NormalEquations) {
    var solver = Solver(equations)
    solver.run()
    let scales = solver.scales
    coefficients = (0..<equations.terms).map {
      solver.x[$0] == 0 ? 0 : solver.x[$0] * solver.valueScale / scales[$0]
    }
    rows = equations.rows
    rSquared = equations.rSquared(coefficients)
    let freedom = equations.rows - solver.passive.count
    let deviation =
      freedom > 0 ? (equations.residualSquares(coefficients) / Double(freedom)).squareRoot() : nil
    residualDeviation = deviation
    var terms = (0..<equations.terms).map { index -> Term in
      if scales[index] == 0 { return .absent }
      return solver.isExplained(index) ? .dependent : .atZero
    }
    for (index, inverse) in zip(solver.passive, solver.factor.inverseDiagonal()) {
      terms[index] = .fitted(standardError: deviation.map { $0 * inverse.squareRoot() / scales[index] })
    }
    self.terms = terms
  }

  /// The sum of `row` times the coefficients.
  public func value(_ row: [Double]) -> Double {
    zip(row, coefficients).reduce(0) { $0 + $1.0 * $1.1 }
  }
}

/// The state of Lawson and Hanson's method.
private struct Solver {
  let equations: NormalEquations
  /// The length of each column, 0 for a column of zeros.
  let scales: [Double]
  let valueScale: Double
  /// The solution for columns and values of length 1.
  var x: [Double]
  /// The terms above 0, in the order of `factor`.
  var passive: [Int] = []
  var factor = Cholesky()

  init(_ equations: NormalEquations) {
    self.equations = equations
    scales = (0..<equations.terms).map { equations.product($0, $0).squareRoot() }
    valueScale = equations.valueSquares.squareRoot()
    x = Array(repeating: 0, count: equations.terms)
  }

  func product(_ i: Int, _ j: Int) -> Double { equations.product(i, j) / (scales[i] * scales[j]) }
  func moment(_ i: Int) -> Double { equations.moments[i] / (scales[i] * valueScale) }

  /// How fast the sum of squares falls, by half, when term `i` grows.
  func slope(_ i: Int) -> Double { passive.reduce(moment(i)) { $0 - product(i, $1) * x[$1] } }

  /// Whether the terms above 0 explain the column `i`.
  func isExplained(_ i: Int) -> Bool {
    factor.unexplained(passive.map { product($0, i) }) <= NonNegativeFit.independence
  }

  mutating func run() {
    guard valueScale > 0 else { return }
    // Terms that were tried and brought nothing, since the solution last changed.
    var rejected: Set<Int> = []
    // The sum of squares falls with every change, so no set of terms comes twice; the limit is for rounding.
    for _ in 0..<(30 * equations.terms) {
      var steepest = (slope: NonNegativeFit.flat, term: -1)
      for term in 0..<equations.terms where scales[term] > 0 {
        if passive.contains(term) || rejected.contains(term) { continue }
        let slope = slope(term)
        if slope > steepest.slope { steepest = (slope, term) }
      }
      if steepest.term < 0 { return }
      if enter(steepest.term) { rejected.removeAll() } else { rejected.insert(steepest.term) }
    }
  }

  /// Lets a term become positive, and those that would turn negative return to 0.
  ///
  /// - Returns: false where that brings nothing.
  private mutating func enter(_ term: Int) -> Bool {
    let before = (passive, factor)
    guard factor.append(passive.map { product($0, term) }, least: NonNegativeFit.independence) else {
      return false
    }
    passive.append(term)
    var goal = factor.solve(passive.map(moment))
    // Against the slope: rounding.
    guard goal[goal.count - 1] > 0 else {
      (passive, factor) = before
      return false
    }
    while let step = longestStep(to: goal) {
      for (place, index) in passive.enumerated() { x[index] += step.length * (goal[place] - x[index]) }
      x[step.leaving] = 0
      passive.removeAll { $0 == step.leaving || x[$0] <= 0 }
      refactor()
      goal = factor.solve(passive.map(moment))
    }
    for index in x.indices { x[index] = 0 }
    for (place, index) in passive.enumerated() { x[index] = goal[place] }
    return true
  }

  /// How far towards `goal` no term turns negative, and which is 0 there; nil if `goal` itself can be reached.
  private func longestStep(to goal: [Double]) -> (length: Double, leaving: Int)? {
    var longest: (length: Double, leaving: Int)?
    for (place, index) in passive.enumerated() where goal[place] <= 0 {
      let length = x[index] == 0 ? 0 : x[index] / (x[index] - goal[place])
      if longest.map({ length < $0.length }) ?? true { longest = (length, index) }
    }
    return longest
  }

  private mutating func refactor() {
    factor = Cholesky()
    var kept: [Int] = []
    for index in passive {
      if factor.append(kept.map { product($0, index) }, least: NonNegativeFit.independence) {
        kept.append(index)
      } else {
        x[index] = 0
      }
    }
    passive = kept
  }
}
