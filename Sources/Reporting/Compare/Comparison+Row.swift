internal import KVMTypes

extension Comparison {
  /// One figure of both sides.
  public struct Row: Sendable {
    /// Its name and unit.
    public let metric: Metric
    let subject: Subject
    /// The first side's, nil where it was not recorded.
    public let before: Figure?
    /// The second side's.
    public let after: Figure?

    /// What the difference is worth.
    public enum Kind: String, Sendable {
      /// The trace decides both sides.
      case exact
      /// The trace leaves a side open, between two ends.
      case range
      /// A side rests on assumptions.
      case assumed
      /// Recordings, which vary from run to run.
      case measured
      /// A side was not recorded.
      case unknown
    }

    /// Whether there is a difference.
    public enum Verdict: String, Sendable {
      case same, differs
      /// The ranges of the two sides overlap.
      case mayDiffer
      /// Chance alone may account for it.
      case withinNoise
      /// One recording a side: nothing tells what chance makes of it.
      case noNoiseFloor
      case unknown
    }

    /// Whether the figure has this name.
    func isCalled(_ name: String) -> Bool { metric.isCalled(name) }

    /// What the difference is worth.
    public var kind: Kind {
      guard let before, let after else { return .unknown }
      if subject == .recordings { return .measured }
      if before.least != before.most || after.least != after.most { return .range }
      return max(before.basis, after.basis) <= .derived ? .exact : .assumed
    }

    /// Half the width of the interval of differences that chance makes; nil without a noise floor.
    public var noise: Double? {
      guard subject == .recordings, let before, let after else { return nil }
      return NoiseFloor.halfWidth(before.values, after.values, step: metric.step)
    }

    /// The difference: from the least to the most that the traces allow; of recordings that of the means, give or take the
    /// noise. Nil where a side was not recorded.
    public var difference: (least: Double, most: Double)? {
      guard let before, let after else { return nil }
      if subject == .kernels { return (after.least - before.most, after.most - before.least) }
      let difference = after.mean - before.mean
      let noise = noise ?? 0
      return (difference - noise, difference + noise)
    }

    /// The difference as a share of the first figure, nil where that is nothing.
    public var relative: (least: Double, most: Double)? {
      guard let before, let difference else { return nil }
      if subject == .recordings {
        return before.mean > 0 ? (difference.least / before.mean, difference.most / before.mean) : nil
      }
      guard before.least > 0 else { return nil }
      // The ends of a difference go with the ends of what it is a share of, the other way round.
      return (difference.least / before.most, difference.most / before.least)
    }

    /// Whether there is a difference.
    public var verdict: Verdict {
      guard let before, let after, let difference else { return .unknown }
      if subject == .kernels {
        if after.least > before.most || after.most < before.least { return .differs }
        return kind == .range ? .mayDiffer : .same
      }
      guard let noise else { return before.mean == after.mean ? .same : .noNoiseFloor }
      let isBeyond = abs(difference.least + difference.most) / 2 > noise
      // A single odd recording moves a mean, and does not separate the sides.
      let isSeparate = after.least > before.most || after.most < before.least
      if isBeyond && isSeparate { return .differs }
      return before.least == after.most && before.most == after.least ? .same : .withinNoise
    }
  }
}
