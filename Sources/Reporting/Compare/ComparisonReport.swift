/// The JSON form of a comparison. Fields are added, never renamed.
public struct ComparisonReport: Encodable, Sendable {
  /// The version of this layout.
  public var schemaVersion = 1
  /// The program.
  public var tool = "pkvm-replay"
  /// What was compared.
  public var before: String
  /// The second side.
  public var after: String
  /// By the name of the figure.
  public var metrics: [String: Entry]
  /// The thresholds that are exceeded.
  public var exceeded: [String]

  /// One figure of both replays.
  public struct Entry: Encodable, Sendable {
    var unit: String
    var before: Range
    var after: Range
    var difference: Range
    var relative: Range?
    var exact: Bool
  }

  /// What the traces allow.
  public struct Range: Encodable, Sendable {
    var least: Double
    var most: Double
  }

  /// The report of `comparison`, with the thresholds that it exceeds.
  public init(_ comparison: Comparison, exceeded: [String]) {
    before = comparison.before
    after = comparison.after
    self.exceeded = exceeded
    metrics = Dictionary(
      uniqueKeysWithValues: comparison.rows.map { row in
        let relative = row.relative.map { Range(least: $0.least, most: $0.most) }
        let absolute = row.absolute
        return (
          row.before.name,
          Entry(
            unit: row.before.unit.rawValue,
            before: Range(least: Double(row.before.least), most: Double(row.before.most)),
            after: Range(least: Double(row.after.least), most: Double(row.after.most)),
            difference: Range(least: absolute.least, most: absolute.most), relative: relative,
            exact: row.before.isExact)
        )
      })
  }
}
