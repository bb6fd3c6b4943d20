internal import KVMTypes

/// Collects what recorded times say of a fit, stalled calls apart.
struct QualityTally: Sendable {
  /// The calls on one side: those that the fit used, or those held out.
  struct Side: Sendable {
    var usual = EqualWork.Sums()
    var stalled = EqualWork.Sums()
    var expected = 0.0
    var residualSquares = 0.0

    /// The share of the variance that is explained; nil where the times do not vary.
    var rSquared: Double? {
      guard usual.count > 0 else { return nil }
      let variation = usual.squares - usual.time * usual.time / Double(usual.count)
      // What rounding alone can leave of a variation that is 0.
      guard variation > 1e-12 * usual.squares else { return nil }
      return 1 - residualSquares / variation
    }

    /// The standard deviation of what is not explained, in nanoseconds.
    func deviation(parameters: Int) -> Double? {
      usual.count > parameters ? (residualSquares / Double(usual.count - parameters)).squareRoot() : nil
    }

    /// The variance of the total that the calls' own spread gives it, relative to the total's square.
    var relativeVariance: Double? {
      usual.count < 2 || usual.time == 0 ? nil : residualSquares / (usual.time * usual.time)
    }
  }

  /// The calls that the fit used.
  private(set) var fitted = Side()
  /// The calls held out.
  private(set) var checked = Side()
  /// The calls held out whose work the fit knew: recorded, modelled, and as the calls of the fit with the same
  /// work would have it.
  private var recordedAtEqualWork = 0.0
  private var modelledAtEqualWork = 0.0
  private var usualAtEqualWork = 0.0

  init() {}

  mutating func add(_ group: EqualWork, expected: Double) {
    let limit = group.stallLimit(expected)
    let fit = group.sums(.fit, within: limit)
    let check = group.sums(.check, within: limit)
    fitted.add(fit, expected)
    checked.add(check, expected)
    if fit.usual.count > 0 {
      recordedAtEqualWork += check.usual.time
      modelledAtEqualWork += expected * Double(check.usual.count)
      usualAtEqualWork += fit.usual.time / Double(fit.usual.count) * Double(check.usual.count)
    }
  }

  /// What is to be said of an operation; nil if it was not called.
  var quality: CostQuality.Operation? {
    guard fitted.count + checked.count > 0 else { return nil }
    var quality = CostQuality.Operation(
      fitted: fitted.usual.count, checked: checked.usual.count,
      recorded: Nanoseconds(rounding: checked.usual.time), modelled: Nanoseconds(rounding: checked.expected))
    quality.stalledInFit = fitted.stalled.count
    quality.stalled = checked.stalled.count
    quality.stalledTime = Nanoseconds(rounding: checked.stalled.time)
    if let fit = fitted.relativeVariance, let check = checked.relativeVariance,
      let error = quality.relativeError
    {
      quality.standardError = (1 + error) * (fit + check).squareRoot()
    }
    if usualAtEqualWork > 0 {
      quality.drift = recordedAtEqualWork / usualAtEqualWork - 1
      quality.ownError = modelledAtEqualWork / usualAtEqualWork - 1
      quality.equalWorkShare = checked.usual.time > 0 ? recordedAtEqualWork / checked.usual.time : nil
    }
    return quality
  }
}

extension QualityTally.Side {
  fileprivate var count: Int { usual.count + stalled.count }

  fileprivate mutating func add(_ sums: (usual: EqualWork.Sums, stalled: EqualWork.Sums), _ expected: Double)
  {
    usual += sums.usual
    stalled += sums.stalled
    self.expected += expected * Double(sums.usual.count)
    residualSquares += sums.usual.residualSquares(expected)
  }
}
