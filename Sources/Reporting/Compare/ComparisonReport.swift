internal import KVMTypes

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
  /// kernels or recordings.
  public var subject: String
  /// How many replays each side has.
  public var replays: Sides<Int>
  /// How sure a difference beyond the noise is; nil where there is no noise floor.
  public var confidence: Double?
  /// By the name of the figure, and once more by its shorter name where it has one.
  public var metrics: [String: Entry]
  /// The thresholds that are exceeded.
  public var exceeded: [String]
  /// What a reader must know of the sides, a sentence each.
  public var notes: [String]

  /// Something of both sides.
  public struct Sides<Value: Encodable & Sendable>: Encodable, Sendable {
    var before: Value
    var after: Value
  }

  /// One figure of both replays.
  public struct Entry: Encodable, Sendable {
    var unit: String
    /// Nil where it was not recorded.
    var before: Range?
    var after: Range?
    var difference: Range?
    var relative: Range?
    /// Whether the trace decides both sides.
    var exact: Bool
    var kind: String
    var verdict: String
    var basis: Sides<String?>
    /// Half the width of the interval that chance makes.
    var noise: Double?
    /// The name in the report, where this entry is by the shorter one.
    var sameAs: String?
  }

  /// What the traces allow, or the values of several recordings.
  public struct Range: Encodable, Sendable {
    var least: Double
    var most: Double
    /// The mean over several recordings.
    var mean: Double?
  }

  /// The report of `comparison`, with the thresholds that it exceeds.
  public init(_ comparison: Comparison, exceeded: [String]) {
    before = comparison.before.name
    after = comparison.after.name
    subject = comparison.subject == .kernels ? "kernels" : "recordings"
    replays = Sides(before: comparison.before.replays.count, after: comparison.after.replays.count)
    confidence = comparison.hasNoiseFloor ? NoiseFloor.confidence : nil
    self.exceeded = exceeded
    notes = comparison.statements
    metrics = [:]
    for row in comparison.rows {
      var entry = Entry(row)
      metrics[row.metric.name] = entry
      guard let other = row.metric.otherName else { continue }
      entry.sameAs = row.metric.name
      metrics[other] = entry
    }
  }
}

extension ComparisonReport.Entry {
  init(_ row: Comparison.Row) {
    unit = row.metric.unit.rawValue
    before = row.before.map { .init($0) }
    after = row.after.map { .init($0) }
    difference = row.difference.map { .init(least: $0.least, most: $0.most) }
    relative = row.relative.map { .init(least: $0.least, most: $0.most) }
    exact = row.kind == .exact
    kind = row.kind.rawValue
    verdict = row.verdict.rawValue
    basis = .init(before: row.before?.basis.name, after: row.after?.basis.name)
    noise = row.noise
  }
}

extension ComparisonReport.Range {
  init(_ figure: Comparison.Figure) {
    least = figure.least
    most = figure.most
    mean = figure.ranges.count > 1 ? figure.mean : nil
  }
}
