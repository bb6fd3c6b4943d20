public import KVMTypes
public import Stage2Model

/// Fits a cost model to recorded times of operations, and checks it on those that the fit does not see.
public struct CostCalibration: Sendable {
  /// What a recorded time is for.
  public enum Use: Hashable, Sendable {
    /// To find the values.
    case fit
    /// To say how far off they are.
    case check
  }

  /// A call stalled if it took more than this many times what the model expects of it, and what calls that cost
  /// the same work take.
  ///
  /// Beyond the spread that caches, TLBs and the translation of an emulator give to the same work; a stall ends with
  /// a scheduler's time slice of milliseconds.
  public static let stallFactor = 10.0

  /// The terms of the columns that come before the operations themselves.
  private static let drivers = CostDriver.allCases.filter { $0 != .operation }
  /// The names of the operations, each of which has a constant of its own.
  public let operations: [String]
  private var terms: Int { Self.drivers.count + operations.count }
  private var groups: [EqualWork] = []
  private var places: [EqualWork.Key: Int] = [:]

  /// No times yet. Operations are referred to by their place in `operations`.
  public init(operations: [String]) { self.operations = operations }

  /// An operation that took `time`, as recorded, for `work`, as the model counted it.
  public mutating func add(
    _ operation: Int, _ work: Stage2Work, reschedPoints: Int = 0, time: Nanoseconds, for use: Use
  ) {
    let key = EqualWork.Key(operation: operation, work: work, reschedPoints: reschedPoints)
    let place: Int
    if let known = places[key] {
      place = known
    } else {
      place = groups.count
      places[key] = place
      groups.append(EqualWork(operation: operation, row: row(key)))
    }
    groups[place].add(Double(time.rawValue), for: use)
  }

  private func row(_ key: EqualWork.Key) -> [Double] {
    Self.drivers.map { Double($0 == .reschedPoint ? key.reschedPoints : key.work.amount($0)) }
      + operations.indices.map { $0 == key.operation ? 1 : 0 }
  }

  /// The model that fits the times best.
  ///
  /// A term that the times do not show has no value; one that they cannot tell from others is 0, its share is
  /// in theirs, and its source says so.
  public func model(name: String, source: String) -> CostModel {
    var groups = groups
    for index in groups.indices { groups[index].settle() }
    let settled = QuasiPoissonFit(groups, terms: terms, shared: Self.drivers.count)
    let fit = settled.fit
    var drivers: [CostDriver: CostValue] = [:]
    var constants: [String: CostValue] = [:]
    for (column, driver) in Self.drivers.enumerated() { drivers[driver] = value(fit, column) }
    for (index, name) in operations.enumerated() {
      constants[name] = value(fit, Self.drivers.count + index)
    }
    var tallies = Array(repeating: QualityTally(), count: operations.count)
    var total = QualityTally()
    for (group, expected) in zip(groups, settled.expected) {
      tallies[group.operation].add(group, expected: expected)
      total.add(group, expected: expected)
    }
    let parameters = fit.terms.count { if case .fitted = $0 { true } else { false } }
    var quality = CostQuality(
      rSquared: total.fitted.rSquared, checkedRSquared: total.checked.rSquared,
      residualDeviation: total.fitted.deviation(parameters: parameters), operations: [:])
    for (name, tally) in zip(operations, tallies) { quality.operations[name] = tally.quality }
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
