internal import KVMTypes
internal import Reporting
internal import Stage2Replay

/// What the host counted at quiet points, against the model.
enum MarkerSection {
  static func markup(_ report: ReplayReport) -> Markup {
    guard let markers = report.memoryMarkers, !markers.isEmpty else { return Markup() }
    let unit = report.inputs.first?.unit ?? .nanoseconds
    var table = DataTable(
      caption: "The host's own figures at quiet points, against the model",
      header: ["point", "at", "figure", "recorded", "modelled", "verdict", "model's basis"],
      numbers: [1, 3, 4])
    for marker in markers {
      for figure in marker.figures {
        table.row(
          marker.point, unit.moment(marker.timeNs), figure.title, Quantity.count(figure.recorded),
          figure.modelledWords, figure.outcome, basis: figure.basis)
      }
    }
    let left = table.rows.count - PageLimits.rows
    table.rows = Array(table.rows.prefix(PageLimits.rows))
    return table.markup + LeftOut.note(left, "figure")
  }
}

/// How the predicted operations agree with those that probes recorded.
enum AgreementSection {
  static func markup(_ report: ReplayReport) -> Markup {
    guard let agreement = report.agreement else { return Markup() }
    var table = DataTable(
      caption: "Prediction against the probes of this trace",
      header: ["operation", "recorded", "predicted", "agree", "share", "derived and wrong"],
      numbers: [1, 2, 3, 4, 5])
    for (kind, entry) in agreement.ordered {
      table.rows.append(([kind.name] + entry.words).map(DataTable.Cell.text))
    }
    return table.markup + .list(agreement.notes)
  }
}
