internal import KVMTypes
internal import Reporting

/// What each recorded VM occupied over its time, and whether that had stopped growing.
struct CurveSection {
  let plan: CapacityPlan

  var markup: Markup {
    let samples = plan.samples.filter { !$0.curve.points.isEmpty }
    guard !samples.isEmpty else { return Markup() }
    return .paragraph(Self.rule + " " + DurationCaveat.ofSeveral) + table(samples).markup
      + LeftOut.note(samples.count - PageLimits.rows, "VM", "--curve has all")
      + samples.prefix(PageLimits.curves).reduce(into: Markup()) { $0 += plot($1) }
      + LeftOut.note(samples.count - PageLimits.curves, "plot", "--curve has all")
  }

  private static var rule: String {
    VMCurve.rule.prefix(1).uppercased() + VMCurve.rule.dropFirst() + "."
  }

  private func table(_ samples: [VMSample]) -> DataTable {
    let shares = VMCurve.shownShares
    var table = DataTable(
      caption: "All bytes as recorded, and what was touched, at shares of the VM's time",
      header: ["VM", "time", "from"] + shares.map { $0 == 1 ? "end" : Quantity.share($0) } + [
        "settled", "basis",
      ],
      numbers: Set([1] + shares.indices.map { $0 + 3 }))
    for sample in samples.prefix(PageLimits.rows) {
      let curve = sample.curve
      let points = shares.map { share in
        curve.point(at: share).map { "\(Quantity.bytes($0.totalBytes)), \(Quantity.share($0.touchedShare))" }
          ?? "unknown"
      }
      let cells =
        [
          sample.name, Quantity.duration(curve.recordedNs),
          curve.beganMidLife ? "the beginning of the trace" : "its boot",
        ] + points + [curve.settled.rawValue]
      table.rows.append(cells.map(DataTable.Cell.text) + [.basis(curve.basis)])
    }
    return table
  }

  private func plot(_ sample: VMSample) -> Markup {
    let curve = sample.curve
    let points = curve.points
    let values = SeriesPlot(
      times: points.map(curve.begin), end: curve.recordedNs,
      series: [
        .init(
          name: "all but the tree",
          values: points.map { Double($0.totalBytes - min($0.mappingTreeBytes, $0.totalBytes)) }, isArea: true
        ),
        .init(name: "mapping tree", values: points.map { Double($0.mappingTreeBytes) }, isArea: true),
        .init(name: "SecPageTables", values: points.map { Double($0.secPageTablesBytes) }),
      ], unit: .bytes)
    var time = TimeAxis(0..<curve.recordedNs, .nanoseconds)
    time.caption =
      "time since \(curve.beganMidLife ? "the trace began: the VM was there before" : "the VM appeared")"
    let settled = Self.words(curve.settled)
    var plot = Plot(
      id: "curve-\(sample.input)-\(sample.vm)",
      title: "VM \(sample.name) of \(FileName.last(sample.recording)): \(settled)",
      description:
        "Bytes of the mapping tree and of all but that over \(Quantity.duration(curve.recordedNs)), one on top of the other: "
        + "\(ValueAxis.label(values.greatest, .bytes)) at most at the ends of intervals. \(settled).",
      basis: BasisMark.markup(curve.basis), time: time)
    plot.height = 120
    plot.marks = [PlotMark(kind: .event, time: curve.recordedNs / 4 * 3, label: "last quarter")]
    return values.figure(plot)
  }

  private static func words(_ settled: VMCurve.Settling) -> String {
    switch settled {
    case .settled: "settled"
    case .growing: "not settled, so that its peak is a lower bound"
    case .unknown: "whether it had settled is unknown"
    }
  }
}
