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
    /// Whether it counts from the first marker on, else what there is at this one; of exits and device accesses those of the VMs that
    /// are there.
    public var sinceFirst: Bool
    /// What the host counted.
    public var recorded: Int
    /// What the model has; nil where the events were not recorded that would tell, as are what follows from it and its basis.
    public var modelled: Int?
    /// The former less the latter.
    public var difference: Int?
    /// The least that the model may have, given what the trace leaves open.
    public var least: Int?
    /// The most.
    public var most: Int?
    /// How the two compare.
    public var verdict: MarkerFigure.Verdict
    /// Why they cannot be compared.
    public var reason: MarkerDoubt?
    /// How the model's figure is known.
    public var basis: Basis?
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
    sinceFirst = figure.kind.isSinceFirst
    recorded = figure.recorded
    modelled = figure.modelled
    difference = figure.difference
    least = figure.range?.lowerBound
    most = figure.range?.upperBound
    verdict = figure.verdict
    reason = figure.doubt
    basis = figure.basis
  }

  /// The figure in a few words.
  package var title: String {
    let words =
      switch figure {
      case .secPageTables: "SecPageTables since the first"
      case .mappings: "mapping objects since the first"
      case .anonHuge, .huge: "blocks in huge pages"
      case .exits: "exits"
      case .mmioExits: "device accesses"
      }
    return words + (pid.map { " of \($0)" } ?? "")
  }

  /// Whether there is none of what is counted, on either side: no VM, or no huge page.
  fileprivate var isOfNothing: Bool {
    !sinceFirst && recorded == 0 && least == 0 && most == 0
  }

  /// What the model has, in words.
  package var modelledWords: String { modelled.map { Quantity.count($0) } ?? "unknown" }

  /// What the model may have, where that is not one number.
  private var range: (least: Int, most: Int)? {
    guard let least, let most, least < most else { return nil }
    return (least, most)
  }

  /// Whether the trace leaves open what the model has, and nothing else is in doubt.
  fileprivate var isRange: Bool { reason == nil && range != nil }

  /// "agrees", with what is open, or what the host's figure covers, or why nothing can be said.
  package var outcome: String {
    if let reason { return "\(verdict.name): \(reason.statement)" }
    return verdict.name
      + (range.map { " \(Quantity.count($0.least)) to \(Quantity.count($0.most))" } ?? "")
  }
}

extension MarkerFigure.Verdict {
  fileprivate var style: PageStyle? {
    switch self {
    case .differs: .bad
    case .unknown: .doubt
    case .agrees, .covers: nil
    }
  }
}

extension ReplayReport {
  /// How many markers the page shows.
  private static let markersMax = 20

  /// The quiet points: what the host counted, and what the model has.
  func writeMarkers(_ page: inout TextPage) {
    guard let memoryMarkers, memoryMarkers.contains(where: { !$0.figures.isEmpty }) else { return }
    page.blank()
    page.heading("the host's own figures at quiet points, against the model")
    var rows: [[String]] = []
    var verdicts: [MarkerFigure.Verdict] = []
    for marker in memoryMarkers.prefix(Self.markersMax) {
      for (position, figure) in marker.figures.filter({ !$0.isOfNothing }).enumerated() {
        rows.append([
          position == 0 ? marker.point : "", figure.title, Quantity.count(figure.recorded),
          figure.modelledWords, figure.outcome,
        ])
        verdicts.append(figure.verdict)
      }
    }
    page.table(
      header: ["point", "figure", "recorded", "modelled", "verdict"],
      alignRight: [false, false, true, true, false], rows: rows, spare: [3, 2, 0],
      style: { row, column in column == 4 ? verdicts[row].style : nil })
    let figures = memoryMarkers.prefix(Self.markersMax).flatMap(\.figures)
    if figures.contains(where: \.sinceFirst) {
      page.line(
        "  Since the first: what the host had at the first point is taken off. All else is what there is at the point."
      )
    }
    let nothing = figures.count(where: \.isOfNothing)
    if nothing > 0 {
      page.line(
        "  \(Quantity.count(nothing, "figure")) of what neither side has any of, as where no VM is left, \(nothing == 1 ? "is" : "are") "
          + "left out; --json has them.")
    }
    if figures.contains(where: \.isRange) {
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
