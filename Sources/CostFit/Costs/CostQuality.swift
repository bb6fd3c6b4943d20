public import KVMTypes

/// How well fitted values explain recorded times, those above all that were not used for the fit.
public struct CostQuality: Hashable, Sendable {
  /// One operation.
  public struct Operation: Hashable, Sendable {
    /// Samples that the fit used.
    public var fitted: Int
    /// Samples that it did not use, on which the two times below are.
    public var checked: Int
    /// What the recording says they took together.
    public var recorded: Nanoseconds
    /// What the model says.
    public var modelled: Nanoseconds

    /// The modelled total relative to the recorded one, less 1; nil if nothing was recorded.
    public var relativeError: Double? {
      recorded.rawValue == 0
        ? nil : Double(modelled.rawValue) / Double(recorded.rawValue) - 1
    }

    /// One operation's samples and totals.
    public init(fitted: Int, checked: Int, recorded: Nanoseconds, modelled: Nanoseconds) {
      self.fitted = fitted
      self.checked = checked
      self.recorded = recorded
      self.modelled = modelled
    }
  }

  /// The share of the variance of single samples that the fit explains; nil where they do not vary.
  public var rSquared: Double?
  /// The same on the samples that it did not use; can be negative.
  public var checkedRSquared: Double?
  /// The standard deviation in nanoseconds of what the fit does not explain of a sample.
  public var residualDeviation: Double?
  /// By the operations' names.
  public var operations: [String: Operation]

  /// All operations together.
  public var total: Operation {
    operations.values.reduce(
      Operation(fitted: 0, checked: 0, recorded: Nanoseconds(0), modelled: Nanoseconds(0))
    ) {
      Operation(
        fitted: $0.fitted + $1.fitted, checked: $0.checked + $1.checked, recorded: $0.recorded + $1.recorded,
        modelled: $0.modelled + $1.modelled)
    }
  }

  /// Figures of a fit.
  public init(
    rSquared: Double?, checkedRSquared: Double?, residualDeviation: Double?, operations: [String: Operation]
  ) {
    self.rSquared = rSquared
    self.checkedRSquared = checkedRSquared
    self.residualDeviation = residualDeviation
    self.operations = operations
  }
}

extension CostQuality: Codable {
  private enum CodingKeys: String, CodingKey {
    case rSquared, checkedRSquared, operations
    case residualDeviation = "residualDeviationNs"
  }
}

extension CostQuality.Operation: Codable {
  private enum CodingKeys: String, CodingKey {
    case fitted, checked
    case recorded = "recordedNs"
    case modelled = "modelledNs"
    case relativeError
  }

  /// Reads the JSON form; the error is computed anew.
  ///
  /// - Throws: `DecodingError`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      fitted: try container.decode(Int.self, forKey: .fitted),
      checked: try container.decode(Int.self, forKey: .checked),
      recorded: Nanoseconds(try container.decode(UInt64.self, forKey: .recorded)),
      modelled: Nanoseconds(try container.decode(UInt64.self, forKey: .modelled)))
  }

  /// Writes the JSON form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(fitted, forKey: .fitted)
    try container.encode(checked, forKey: .checked)
    try container.encode(recorded.rawValue, forKey: .recorded)
    try container.encode(modelled.rawValue, forKey: .modelled)
    try container.encodeIfPresent(relativeError, forKey: .relativeError)
  }
}
