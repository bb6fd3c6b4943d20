/// A bound on how a figure may differ: `mappingTreeBytes.peak>+5%`, `hypercalls>0`, `totalBytes.peak<-1048576`.
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

  /// Reads `METRIC>BOUND` or `METRIC<BOUND`; a bound may end in `%`.
  public init(_ text: String) throws(SyntaxError) {
    guard let sign = text.firstIndex(where: { $0 == ">" || $0 == "<" }) else {
      throw SyntaxError(message: "\(text) has neither > nor <: say, for example, hypercalls>+5%")
    }
    let number = text[text.index(after: sign)...]
    let digits = number.hasSuffix("%") ? number.dropLast() : number
    guard let bound = Double(digits), bound.isFinite else {
      throw SyntaxError(message: "\(text): \(number) is no number, and no percentage")
    }
    metric = String(text[..<sign])
    guard !metric.isEmpty else { throw SyntaxError(message: "\(text) names no metric") }
    isUpper = text[sign] == ">"
    self.bound = bound
    isRelative = number.hasSuffix("%")
  }

  /// Whether a comparison is beyond the bound. A range fails as soon as one value that it allows does.
  public func fails(_ row: Comparison.Row) -> Bool {
    if isRelative, row.before.least == 0 {
      // From nothing to something is beyond any percentage.
      return isUpper ? row.after.most > 0 : false
    }
    let differences = isRelative ? row.relative.map { ($0.least * 100, $0.most * 100) } : .some(row.absolute)
    guard let (least, most) = differences else { return false }
    return isUpper ? most > bound : least < bound
  }
}
