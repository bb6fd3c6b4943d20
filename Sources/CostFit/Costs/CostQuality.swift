public import KVMTypes

/// How well fitted values explain recorded times, those above all that were not used for the fit.
public struct CostQuality: Hashable, Sendable {
  /// One operation.
  public struct Operation: Hashable, Sendable {
    /// Samples that the fit used.
    public var fitted: Int
    /// Samples that it did not use, on which the two times below are. Stalled ones are in neither count.
    public var checked: Int
    /// What the recording says they took together.
    public var recorded: Nanoseconds
    /// What the model says.
    public var modelled: Nanoseconds
    /// Samples that the fit would have used, but that stalled (`CostCalibration.stallFactor`).
    public var stalledInFit = 0
    /// Samples like `checked`, but that stalled.
    public var stalled = 0
    /// What these took together, as recorded; no model of the work says anything of it.
    public var stalledTime = Nanoseconds(0)
    /// The standard error of `relativeError`: what the spread of single samples alone makes of it. Nil with less
    /// than two samples on either side.
    public var standardError: Double?
    /// The recorded total of the checked samples relative to that of fitted ones with the same work, less 1: what
    /// the host itself became slower. Nil where no work is in both.
    public var drift: Double?
    /// The modelled total of the checked samples relative to that of fitted ones with the same work, less 1: what
    /// is wrong with the model, whatever the host does.
    public var ownError: Double?
    /// The share of `recorded` that is of work in both, from 0 to 1.
    public var equalWorkShare: Double?

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
  /// Which samples were checked, in words; nil if that is not known.
  public var heldOut: String?
  /// By the operations' names.
  public var operations: [String: Operation]

  /// All operations together.
  public var total: Operation {
    operations.values.reduce(
      Operation(fitted: 0, checked: 0, recorded: Nanoseconds(0), modelled: Nanoseconds(0))
    ) {
      var sum = Operation(
        fitted: $0.fitted + $1.fitted, checked: $0.checked + $1.checked, recorded: $0.recorded + $1.recorded,
        modelled: $0.modelled + $1.modelled)
      sum.stalledInFit = $0.stalledInFit + $1.stalledInFit
      sum.stalled = $0.stalled + $1.stalled
      sum.stalledTime = $0.stalledTime + $1.stalledTime
      return sum
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
    case rSquared, checkedRSquared, heldOut, operations
    case residualDeviation = "residualDeviationNs"
  }
}

extension CostQuality.Operation: Codable {
  private enum CodingKeys: String, CodingKey {
    case fitted, checked
    case recorded = "recordedNs"
    case modelled = "modelledNs"
    case relativeError, standardError, stalledInFit, stalled
    case stalledTime = "stalledNs"
    case drift, ownError, equalWorkShare
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
    stalledInFit = try container.decodeIfPresent(Int.self, forKey: .stalledInFit) ?? 0
    stalled = try container.decodeIfPresent(Int.self, forKey: .stalled) ?? 0
    stalledTime = Nanoseconds(try container.decodeIfPresent(UInt64.self, forKey: .stalledTime) ?? 0)
    standardError = try container.decodeIfPresent(Double.self, forKey: .standardError)
    drift = try container.decodeIfPresent(Double.self, forKey: .drift)
    ownError = try container.decodeIfPresent(Double.self, forKey: .ownError)
    equalWorkShare = try container.decodeIfPresent(Double.self, forKey: .equalWorkShare)
  }

  /// Writes the JSON form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(fitted, forKey: .fitted)
    try container.encode(checked, forKey: .checked)
    try container.encode(recorded.rawValue, forKey: .recorded)
    try container.encode(modelled.rawValue, forKey: .modelled)
    try container.encodeIfPresent(relativeError, forKey: .relativeError)
    try container.encodeIfPresent(standardError, forKey: .standardError)
    try container.encode(stalledInFit, forKey: .stalledInFit)
    try container.encode(stalled, forKey: .stalled)
    try container.encode(stalledTime.rawValue, forKey: .stalledTime)
    try container.encodeIfPresent(drift, forKey: .drift)
    try container.encodeIfPresent(ownError, forKey: .ownError)
    try container.encodeIfPresent(equalWorkShare, forKey: .equalWorkShare)
  }
}
