internal import KVMTypes
internal import Reporting

/// The figures of both sides.
struct DifferenceSection {
  let comparison: Comparison

  /// Those that differ, or may.
  var markup: Markup {
    let rows = comparison.rows.filter(\.isWorthShowing)
    guard !rows.isEmpty else {
      return .paragraph(
        comparison.hasNoiseFloor
          ? "No figure is known to differ by more than the noise." : "No figure is known to differ.")
    }
    return DifferenceChart(comparison: comparison).markup + table("Figures that differ", rows).markup
  }

  /// The other ones, folded.
  var others: Markup {
    let rest = comparison.rows.filter { !$0.isWorthShowing }
    let unknown = rest.filter { $0.verdict == .unknown }
    let same = rest.filter { $0.verdict != .unknown }
    func folded(_ rows: [Comparison.Row], _ words: String) -> Markup {
      rows.isEmpty
        ? Markup()
        : .folded(
          "\(Quantity.count(rows.count, "figure")): \(words)", table("Figures: \(words)", rows).markup)
    }
    return folded(
      same,
      comparison.hasNoiseFloor ? "chance may account for the difference" : "the same on both sides")
      + folded(unknown, "not recorded on one of the sides")
  }

  private func table(_ caption: String, _ rows: [Comparison.Row]) -> DataTable {
    let noise = comparison.hasNoiseFloor
    var table = DataTable(
      caption: caption,
      header: ["figure", "before", "after", "difference", "in percent"] + (noise ? ["noise"] : [])
        + ["kind", "basis"], numbers: noise ? [1, 2, 3, 4, 5] : [1, 2, 3, 4])
    for row in rows {
      let cells =
        [row.metric.name, row.text(row.before), row.text(row.after), row.differenceText, row.relativeText]
        + (noise ? [row.noiseText] : []) + [row.kindText]
      table.rows.append(cells.map(DataTable.Cell.text) + [.basis(Self.basis(row))])
    }
    return table
  }

  /// How a difference is known: as the weaker of what it rests on.
  private static func basis(_ row: Comparison.Row) -> Basis? {
    guard let before = row.before, let after = row.after else { return nil }
    return max(before.basis, after.basis)
  }
}
