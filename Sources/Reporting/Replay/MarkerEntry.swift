internal import KVMTypes
internal import Stage2Replay

/// What the host counted at one quiet point, against the model, in the JSON report.
public struct MarkerEntry: Encodable, Sendable {
  var timeNs: UInt64
  var point: String
  var figures: [Figure]

  /// One figure of a marker.
  public struct Figure: Encodable, Sendable {
    var figure: String
    /// The VMM, for figures that are one process's.
    var pid: Int32?
    var recorded: Int
    var modelled: Int
    var difference: Int
    /// What the model may have, given what the trace leaves open.
    var least: Int
    var most: Int
    var verdict: String
    var reason: String?
    var basis: String
  }

  init(_ marker: MarkerResult) {
    timeNs = marker.time.rawValue
    point = marker.point
    figures = marker.figures.map(Figure.init)
  }
}

extension MarkerEntry.Figure {
  init(_ figure: MarkerFigure) {
    self.figure = figure.kind.name
    pid = figure.process?.rawValue
    recorded = figure.recorded
    modelled = figure.modelled
    difference = figure.difference
    least = figure.range.lowerBound
    most = figure.range.upperBound
    verdict = figure.verdict.name
    reason = figure.doubt?.statement
    basis = figure.basis.name
  }

  /// The figure in a few words.
  var title: String {
    let words: [MarkerFigure.Kind: String] = [
      .secPageTables: "SecPageTables", .mappings: "mapping objects", .anonHuge: "blocks in huge pages",
      .huge: "blocks in huge pages",
      .exits: "exits", .mmioExits: "device accesses",
    ]
    let kind = MarkerFigure.Kind.allCases.first { $0.name == figure }
    return (kind.flatMap { words[$0] } ?? figure) + (pid.map { " of \($0)" } ?? "")
  }

  /// "agrees", with what is open, or what the host's figure covers, or why nothing can be said.
  var outcome: String {
    if let reason { return "\(verdict): \(reason)" }
    return least < most ? "\(verdict) \(Quantity.count(least)) to \(Quantity.count(most))" : verdict
  }
}

extension ReplayReport {
  /// How many markers the page shows.
  private static let markersMax = 20

  /// The quiet points: what the host counted since the first one, and what the model has.
  func writeMarkers(_ page: inout TextPage) {
    guard let memoryMarkers, memoryMarkers.contains(where: { !$0.figures.isEmpty }) else { return }
    page.blank()
    page.line("the host's own figures at quiet points, against the model")
    var rows: [[String]] = []
    for marker in memoryMarkers.prefix(Self.markersMax) {
      for (position, figure) in marker.figures.enumerated() {
        rows.append([
          position == 0 ? marker.point : "", figure.title, Quantity.count(figure.recorded),
          Quantity.count(figure.modelled), figure.outcome,
        ])
      }
    }
    page.table(
      header: ["point", "figure", "recorded", "modelled", "verdict"],
      alignRight: [false, false, true, true, false], rows: rows)
    let figures = memoryMarkers.prefix(Self.markersMax).flatMap(\.figures)
    if figures.contains(where: { $0.least < $0.most }) {
      page.line("  A range is what the model may have, given what the trace leaves open.")
    }
    if figures.contains(where: { $0.verdict == MarkerFigure.Verdict.covers.name }) {
      page.line("  covers: the host may count more, for not all that it counts need be mapped.")
    }
    if memoryMarkers.count > Self.markersMax {
      page.line("and \(memoryMarkers.count - Self.markersMax) more points; --json lists them")
    }
  }
}
