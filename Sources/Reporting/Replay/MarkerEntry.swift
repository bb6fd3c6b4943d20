public import KVMTypes
public import Stage2Replay

/// What the host counted at one quiet point, against the model, in the JSON report.
public struct MarkerEntry: Encodable, Sendable {
  /// When the marker was written.
  public var timeNs: UInt64
  /// The point's name.
  public var point: String
  /// What was compared.
  public var figures: [Figure]

  /// One figure of a marker.
  public struct Figure: Encodable, Sendable {
    /// What is counted.
    public var figure: MarkerFigure.Kind
    /// The VMM, for figures that are one process's.
    public var pid: Int32?
    /// What the host counted.
    public var recorded: Int
    /// What the model has.
    public var modelled: Int
    /// The former less the latter.
    public var difference: Int
    /// The least that the model may have, given what the trace leaves open.
    public var least: Int
    /// The most.
    public var most: Int
    /// How the two compare.
    public var verdict: MarkerFigure.Verdict
    /// Why they cannot be compared.
    public var reason: MarkerDoubt?
    /// How the model's figure is known.
    public var basis: Basis
  }

  init(_ marker: MarkerResult) {
    timeNs = marker.time.rawValue
    point = marker.point
    figures = marker.figures.map(Figure.init)
  }
}

extension MarkerEntry.Figure {
  init(_ figure: MarkerFigure) {
    self.figure = figure.kind
    pid = figure.process?.rawValue
    recorded = figure.recorded
    modelled = figure.modelled
    difference = figure.difference
    least = figure.range.lowerBound
    most = figure.range.upperBound
    verdict = figure.verdict
    reason = figure.doubt
    basis = figure.basis
  }

  /// The figure in a few words.
  var title: String {
    let words =
      switch figure {
      case .secPageTables: "SecPageTables"
      case .mappings: "mapping objects"
      case .anonHuge, .huge: "blocks in huge pages"
      case .exits: "exits"
      case .mmioExits: "device accesses"
      }
    return words + (pid.map { " of \($0)" } ?? "")
  }

  /// "agrees", with what is open, or what the host's figure covers, or why nothing can be said.
  var outcome: String {
    if let reason { return "\(verdict.name): \(reason.statement)" }
    return verdict.name + (least < most ? " \(Quantity.count(least)) to \(Quantity.count(most))" : "")
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
    if figures.contains(where: { $0.verdict == .covers }) {
      page.line("  covers: the host may count more, for not all that it counts need be mapped.")
    }
    if memoryMarkers.count > Self.markersMax {
      page.line("and \(memoryMarkers.count - Self.markersMax) more points; --json lists them")
    }
  }
}
