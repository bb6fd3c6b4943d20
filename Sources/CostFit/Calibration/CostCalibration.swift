public import KVMTypes
public import Stage2Model

/// Fits a cost model to recorded times of operations, and checks it on those that the fit does not see.
///
/// Rows are added one by one and not kept: of the rows for the check, too, only sums are needed.
public struct CostCalibration: Sendable {
  /// What a recorded time is for.
  public enum Use: Hashable, Sendable {
    /// To find the values.
    case fit
    /// To say how far off they are.
    case check
  }

  /// The terms of the columns that come before the operations themselves.
  private static let drivers = CostDriver.allCases.filter { $0 != .operation }
  /// The names of the operations, each of which has a constant of its own.
  public let operations: [String]
  private var fitted: NormalEquations
  private var checked: NormalEquations
  private var row: [Double]
  private var samples: [Samples]

  private struct Samples: Sendable {
    var fitted = 0
    var checked = 0
    var recorded = Nanoseconds(0)
    /// The rows of the samples to check, summed.
    var rows: [Double]
  }

  /// No times yet. Operations are referred to by their place in `operations`.
  public init(operations: [String]) {
    self.operations = operations
    let terms = Self.drivers.count + operations.count
    fitted = NormalEquations(terms: terms)
    checked = NormalEquations(terms: terms)
    row = Array(repeating: 0, count: terms)
    samples = Array(repeating: Samples(rows: row), count: operations.count)
  }

  /// An operation that took `time`, as recorded, for `work`, as the model counted it.
  ///
  /// - Parameter weight: how much the sample counts in the fit. With the same weight for all, the fit's total
  ///   of an operation is the recorded one unless the operation's own value is 0; but long operations drown what
  ///   short ones say of the terms that both have.
  public mutating func add(
    _ operation: Int, _ work: Stage2Work, reschedPoints: Int = 0, time: Nanoseconds, weight: Double = 1,
    for use: Use
  ) {
    for (column, driver) in Self.drivers.enumerated() {
      row[column] = Double(driver == .reschedPoint ? reschedPoints : work.amount(driver))
    }
    for index in operations.indices { row[Self.drivers.count + index] = index == operation ? 1 : 0 }
    let value = Double(time.rawValue)
    switch use {
    case .fit:
      fitted.add(row, value: value, weight: weight)
      samples[operation].fitted += 1
    case .check:
      checked.add(row, value: value)
      samples[operation].checked += 1
      samples[operation].recorded = samples[operation].recorded + time
      for index in row.indices { samples[operation].rows[index] += row[index] }
    }
  }

  /// The model that fits the times best.
  ///
  /// A term that the times do not show has no value; one that they cannot tell from others is 0, its share is
  /// in theirs, and its source says so.
  public func model(name: String, source: String) -> CostModel {
    let fit = NonNegativeFit(fitted)
    var drivers: [CostDriver: CostValue] = [:]
    var constants: [String: CostValue] = [:]
    for (column, driver) in Self.drivers.enumerated() { drivers[driver] = value(fit, column) }
    for (index, name) in operations.enumerated() {
      constants[name] = value(fit, Self.drivers.count + index)
    }
    var quality = CostQuality(
      rSquared: fit.rSquared, checkedRSquared: checked.rSquared(fit.coefficients),
      residualDeviation: fit.residualDeviation, operations: [:])
    for (name, samples) in zip(operations, samples) where samples.fitted + samples.checked > 0 {
      quality.operations[name] = CostQuality.Operation(
        fitted: samples.fitted, checked: samples.checked, recorded: samples.recorded,
        modelled: Nanoseconds(rounding: fit.value(samples.rows)))
    }
    return CostModel(name: name, source: source, drivers: drivers, operations: constants, quality: quality)
  }

  private func value(_ fit: NonNegativeFit, _ column: Int) -> CostValue? {
    let how: String
    var standardError: Double?
    switch fit.terms[column] {
    case .absent: return nil
    case .fitted(let error):
      how = "fitted to \(fit.rows) operations"
      standardError = error
    case .atZero: how = "0 fits \(fit.rows) operations best"
    case .dependent: how = "not told from other terms by \(fit.rows) operations; its share is in theirs"
    }
    return CostValue(
      nanoseconds: fit.coefficients[column], standardError: standardError, basis: .modelled, source: how)
  }
}
