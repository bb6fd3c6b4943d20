internal import Reporting

/// Which thresholds there were, and which are exceeded.
struct ThresholdSection {
  let comparison: Comparison
  let thresholds: [HTMLReport.NamedThreshold]

  var markup: Markup {
    guard !thresholds.isEmpty else { return Markup() }
    let exceeded = Set(comparison.check(thresholds.map(\.threshold)).exceeded)
    var table = DataTable(caption: "Thresholds", header: ["threshold", "found", "exceeded"])
    for named in thresholds {
      table.row(
        named.text, comparison.found(named.threshold), exceeded.contains(named.threshold) ? "yes" : "no")
    }
    let count = thresholds.count { exceeded.contains($0.threshold) }
    return .paragraph(
      "\(Quantity.count(count)) of \(Quantity.count(thresholds.count, "threshold")) \(count == 1 ? "is" : "are") exceeded."
    ) + table.markup
      + .note(
        "A difference that is a range is beyond a bound if a part of it is, one with a noise floor if all of it is; possibly asks "
          + "for a part of either, certainly for all.")
  }
}
