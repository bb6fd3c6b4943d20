import CostFit
import Testing

/// Least squares without negative coefficients.
@Suite("Non-negative least squares")
struct NonNegativeFitTests {
  private func fit(_ rows: [[Double]], _ values: [Double]) -> NonNegativeFit {
    var equations = NormalEquations(terms: rows[0].count)
    for (row, value) in zip(rows, values) { equations.add(row, value: value) }
    return NonNegativeFit(equations)
  }

  private func values(_ rows: [[Double]], _ coefficients: [Double]) -> [Double] {
    rows.map { zip($0, coefficients).reduce(0) { $0 + $1.0 * $1.1 } }
  }

  private func isFitted(_ term: NonNegativeFit.Term) -> Bool {
    if case .fitted = term { true } else { false }
  }

  @Test("Coefficients that explain everything are found", arguments: 0..<20 as Range<UInt64>)
  func exact(seed: UInt64) {
    var random = Random(seed)
    let truth = (0..<16).map { _ in Double(1 + random.below(2000)) }
    let rows = (0..<200).map { _ in truth.map { _ in Double(random.below(10)) } }
    let found = fit(rows, values(rows, truth))
    for (coefficient, expected) in zip(found.coefficients, truth) {
      #expect(abs(coefficient / expected - 1) < 1e-9)
    }
    #expect(found.terms.allSatisfy(isFitted))
    #expect(found.rSquared! > 1 - 1e-9)
  }

  @Test("Where the best coefficient is negative, it is 0 and the others are fitted without it")
  func activeConstraint() {
    let rows: [[Double]] = [[1, 0], [1, 1], [2, 1], [3, 5]]
    let found = fit(rows, values(rows, [3, -1]))
    // By hand: the products of the first column are 15, with the values 3 + 2 + 2 * 5 + 3 * 4 = 27.
    #expect(found.coefficients[1] == 0)
    #expect(abs(found.coefficients[0] - 27.0 / 15) < 1e-12)
    #expect(found.terms[1] == .atZero)
  }

  @Test("A term that was positive can return to 0")
  func termLeaves() {
    // The first column points most nearly at the values and enters first; the other two together explain
    // them better, with the first below 0.
    let rows: [[Double]] = [[1, 1, 0], [1, 0, 1], [0.5, 0, 0]]
    let measured = [1, 1, -0.2]
    let found = fit(rows, measured)
    #expect(found.coefficients[0] == 0)
    #expect(abs(found.coefficients[1] - 1) < 1e-12 && abs(found.coefficients[2] - 1) < 1e-12)
    #expect(found.terms[0] == .atZero)
  }

  @Test("Every set of terms above 0, tried one by one, leaves no less", arguments: 0..<300 as Range<UInt64>)
  func bruteForce(seed: UInt64) throws {
    var random = Random(seed)
    let terms = 1 + random.below(5)
    let rows = (0..<(terms + 1 + random.below(12))).map { _ in (0..<terms).map { _ in random.signed() } }
    let measured = rows.map { _ in random.signed() }
    var best = (left: squares(rows, measured, Array(repeating: 0, count: terms)), set: [Int](), x: [Double]())
    for mask in 1..<(1 << terms) {
      let columns = (0..<terms).filter { mask >> $0 & 1 == 1 }
      guard let solved = naiveFit(rows, measured, columns: columns), solved.allSatisfy({ $0 >= 0 }) else {
        continue
      }
      var x = [Double](repeating: 0, count: terms)
      for (place, column) in columns.enumerated() { x[column] = solved[place] }
      let left = squares(rows, measured, x)
      if left < best.left { best = (left, columns, x) }
    }
    let found = fit(rows, measured)
    #expect(found.coefficients.allSatisfy { $0 >= 0 })
    #expect(abs(squares(rows, measured, found.coefficients) - best.left) < 1e-9 * (1 + best.left))
    #expect((0..<terms).filter { isFitted(found.terms[$0]) } == best.set)
    for (coefficient, expected) in zip(found.coefficients, best.x) {
      #expect(abs(coefficient - expected) < 1e-6 * (1 + abs(expected)))
    }
  }

  @Test("A column that repeats another, or the sum of others, is named and its share is theirs")
  func collinear() {
    var random = Random(5)
    let rows = (0..<50).map { _ in
      let a = Double(random.below(9)), b = Double(random.below(9)), c = Double(random.below(9))
      return [a, 2 * a, b, c, b + c]
    }
    let measured = values(rows, [10, 0, 20, 30, 0])
    let found = fit(rows, measured)
    #expect(squares(rows, measured, found.coefficients) < 1e-12 * squares(rows, measured, [0, 0, 0, 0, 0]))
    // Of the first two one is fitted, of the last three two.
    #expect(found.terms[..<2].count { isFitted($0) } == 1)
    #expect(found.terms[2...].count { isFitted($0) } == 2)
    #expect(found.terms.count { $0 == .dependent } == 2)
    #expect(abs(found.coefficients[0] + 2 * found.coefficients[1] - 10) < 1e-9)
  }

  @Test("Columns of very different sizes do not matter")
  func scaling() {
    var random = Random(6)
    let sizes = [1e-9, 1e-3, 1, 1e5, 1e12]
    let truth = [3e9, 5e3, 7, 2e-5, 4e-12]
    let rows = (0..<100).map { _ in sizes.map { $0 * Double(1 + random.below(9)) } }
    let found = fit(rows, values(rows, truth))
    for (coefficient, expected) in zip(found.coefficients, truth) {
      #expect(abs(coefficient / expected - 1) < 1e-9)
    }
  }

  private struct Missing: Error {}

  @Test("Standard errors are those of the textbook")
  func standardErrors() throws {
    // Through the origin: y = 2 x with residuals 1, -1, 0 (they are orthogonal to x): s^2 = 2 / (3 - 1).
    let line = fit([[1], [1], [2]], [3, 1, 4])
    #expect(abs(line.coefficients[0] - 2) < 1e-12)
    #expect(line.residualDeviation.map { abs($0 - 1) < 1e-12 } == true)
    guard case .fitted(let error?) = line.terms[0] else { throw Missing() }
    #expect(abs(error - (1.0 / 6).squareRoot()) < 1e-12)
    #expect(line.rSquared.map { abs($0 - (1 - 2 / (26 - 64.0 / 3))) < 1e-12 } == true)
    // As many rows as terms: nothing is left to estimate an error from.
    #expect(
      fit([[1, 0], [1, 1]], [1, 3]).terms == [.fitted(standardError: nil), .fitted(standardError: nil)])
  }

  @Test("The truth lies within two standard errors as often as it should")
  func coverage() {
    let truth = [400.0, 25, 3]
    var within = 0
    for seed in 0..<200 as Range<UInt64> {
      var random = Random(1000 + seed)
      let rows = (0..<60).map { _ in [1, Double(random.below(20)), Double(random.below(500))] }
      let found = fit(rows, values(rows, truth).map { $0 + 40 * random.noise() })
      for (index, term) in found.terms.enumerated() {
        if case .fitted(let error?) = term, abs(found.coefficients[index] - truth[index]) < 2 * error {
          within += 1
        }
      }
    }
    // 95 % of 600, with a standard deviation of about 6.
    #expect((540...594).contains(within))
  }

  @Test("Heavier rows pull harder")
  func weights() {
    var equations = NormalEquations(terms: 1)
    equations.add([1], value: 10, weight: 3)
    equations.add([1], value: 20)
    #expect(NonNegativeFit(equations).coefficients == [12.5])
  }

  @Test("Nothing, zeros and what is no number")
  func degenerate() {
    var equations = NormalEquations(terms: 2)
    #expect(NonNegativeFit(equations).terms == [.absent, .absent])
    let taken = [
      equations.add([.nan, 1], value: 1), equations.add([1, 1], value: .infinity),
      equations.add([1, 1], value: 1, weight: 0),
    ]
    #expect(taken == [false, false, false])
    #expect(equations.rows == 0)
    equations.add([1, 0], value: 0)
    equations.add([1, 0], value: 0)
    let zero = NonNegativeFit(equations)
    #expect(zero.coefficients == [0, 0])
    #expect(zero.terms == [.atZero, .absent])
    #expect(zero.rSquared == nil)
    // Values that do not vary have no variance to explain.
    #expect(fit([[1], [1]], [5, 5]).rSquared == nil)
  }
}
