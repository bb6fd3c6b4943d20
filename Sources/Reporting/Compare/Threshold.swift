/// A bound on how a figure may differ: `memory.mappingTreeBytes.peak>+5%`, `hypercalls>0`, `possibly totalBytes.peak<-1048576`.
///
/// Where the traces leave a difference open, a bound is exceeded as soon as one difference that they allow lies beyond it: what
/// may be a regression does not pass. Where chance moves it, between recordings, the whole interval must lie beyond it: noise is
/// no regression. `possibly` and `certainly` ask for a part or the whole of either.
public struct Threshold: Hashable, Sendable {
  /// Why a text is no threshold.
  public struct SyntaxError: Error, Hashable {
    /// One sentence.
    public let message: String
  }

  /// The metric's name.
  public let metric: String
  /// Whether a difference above the bound fails; else one below it.
  public let isUpper: Bool
  /// The bound, as a number of the metric's unit or in percent of the first value.
  public let bound: Double
  /// Whether the bound is in percent.
  public let isRelative: Bool
  /// Whether a part of an interval is enough, nil where that depends on what opens it.
  public let isPossibly: Bool?

  /// Reads `METRIC>BOUND` or `METRIC<BOUND`, with `possibly` or `certainly` before it or neither; a bound may end in `%`.
  public init(_ text: String) throws(SyntaxError) {
    var comparison = Substring(text)
    var isPossibly: Bool?
    for (word, isEnough) in [("possibly ", true), ("certainly ", false)] where text.hasPrefix(word) {
      (comparison, isPossibly) = (text.dropFirst(word.count), isEnough)
    }
    self.isPossibly = isPossibly
    guard let sign = comparison.firstIndex(where: { $0 == ">" || $0 == "<" }) else {
      throw SyntaxError(message: "\(text) has neither > nor <: say, for example, hypercalls>+5%")
    }
    let number = comparison[comparison.index(after: sign)...]
    let digits = number.hasSuffix("%") ? number.dropLast() : number
    guard let bound = Double(digits), bound.isFinite else {
      throw SyntaxError(message: "\(text): \(number) is no number, and no percentage")
    }
    metric = String(comparison[..<sign])
    guard !metric.isEmpty else { throw SyntaxError(message: "\(text) names no metric") }
    isUpper = comparison[sign] == ">"
    self.bound = bound
    isRelative = number.hasSuffix("%")
  }

  /// Whether a comparison is beyond the bound. What was not recorded is not.
  public func fails(_ row: Comparison.Row) -> Bool {
    guard let difference = row.difference else { return false }
    let isPossibly = isPossibly ?? (row.subject == .kernels)
    func isBeyond(_ least: Double, _ most: Double) -> Bool {
      isUpper ? (isPossibly ? most : least) > bound : (isPossibly ? least : most) < bound
    }
    guard isRelative else { return isBeyond(difference.least, difference.most) }
    if let relative = row.relative { return isBeyond(relative.least * 100, relative.most * 100) }
    // From nothing to something is beyond any percentage.
    let most = row.before?.most ?? 0
    guard most > 0, row.kind == .range else {
      return isUpper && (isPossibly ? difference.most > 0 : difference.least > 0)
    }
    return isBeyond(difference.least / most * 100, difference.most > 0 ? .infinity : 0)
  }
}
