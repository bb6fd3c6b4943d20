/// Two replays side by side.
public struct Comparison: Sendable {
  /// One figure of both.
  public struct Row: Sendable {
    /// The figure of the first and of the second replay.
    public let before: Metric
    /// The second replay's.
    public let after: Metric

    /// The difference, from the least to the most that the traces allow.
    public var absolute: (least: Double, most: Double) {
      (Double(after.least) - Double(before.most), Double(after.most) - Double(before.least))
    }

    /// The difference as a share of the first figure, nil where that is nothing.
    public var relative: (least: Double, most: Double)? {
      guard before.least > 0 else { return nil }
      return (absolute.least / Double(before.most), absolute.most / Double(before.least))
    }

    /// Whether the two differ whatever the traces leave open.
    public var isDifferent: Bool { after.least > before.most || after.most < before.least }
  }

  /// What was replayed, in words.
  public let before: String
  /// The second replay's.
  public let after: String
  /// Every figure that either side has.
  public let rows: [Row]

  /// Compares two lists of figures.
  public init(_ before: String, _ first: [Metric], _ after: String, _ second: [Metric]) {
    self.before = before
    self.after = after
    var names = first.map(\.name)
    for metric in second where !names.contains(metric.name) { names.append(metric.name) }
    rows = names.map { name in
      let (a, b) = (first.first { $0.name == name }, second.first { $0.name == name })
      let unit = (a ?? b)?.unit ?? .count
      let none = Metric(name: name, unit: unit, least: 0, most: 0)
      return Row(before: a ?? none, after: b ?? none)
    }
  }

  /// The thresholds that are exceeded, and those that name no figure of either side.
  public func check(_ thresholds: [Threshold]) -> (exceeded: [Threshold], unknown: [Threshold]) {
    var exceeded: [Threshold] = []
    var unknown: [Threshold] = []
    for threshold in thresholds {
      guard let row = rows.first(where: { $0.before.name == threshold.metric }) else {
        unknown.append(threshold)
        continue
      }
      if threshold.fails(row) { exceeded.append(threshold) }
    }
    return (exceeded, unknown)
  }
}
