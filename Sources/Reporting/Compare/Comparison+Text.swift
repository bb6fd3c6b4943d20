extension Comparison {
  /// The comparison as a page of text: the figures that differ, then how many do not.
  public func text(all: Bool) -> String {
    var page = TextPage()
    page.title("\(before)  ->  \(after)")
    let shown = rows.filter { all || $0.isDifferent || $0.before.least != $0.before.most || $0.isOpen }
    page.table(
      header: ["", "before", "after", "difference", "", "kind"],
      alignRight: [false, true, true, true, true, false],
      rows: shown.map { row in
        [
          row.before.name, row.before.text, row.after.text, row.differenceText, row.relativeText,
          row.before.isExact ? row.isOpen ? "range" : "exact" : "recorded time",
        ]
      })
    let same = rows.count - shown.count
    if same > 0 {
      page.line("\(same) more figure\(same == 1 ? " is" : "s are") the same on both sides (--all shows them)")
    }
    if rows.contains(where: \.isOpen) {
      page.blank()
      page.line(
        "A range: the trace does not tell which pages of a recorded block the guest touched, or whether the host's"
      )
      page.line(
        "memory was huge where the traced kernel maps pages only. Its ends assume the least and the most.")
    }
    if rows.contains(where: { !$0.before.isExact }) {
      page.blank()
      page.line("Times are those of the traced hosts, and vary from run to run of the same kernel.")
    }
    return page.text
  }
}

extension Comparison.Row {
  /// Whether the traces leave the figure open.
  var isOpen: Bool { before.least != before.most || after.least != after.most }

  var differenceText: String {
    let unit = before.unit
    func signed(_ value: Double) -> String {
      (value < 0 ? "-" : value > 0 ? "+" : "") + Metric.text(UInt64(value.magnitude), unit)
    }
    return absolute.least == absolute.most
      ? signed(absolute.least) : "\(signed(absolute.least)) .. \(signed(absolute.most))"
  }

  var relativeText: String {
    guard let relative else { return "" }
    return relative.least == relative.most
      ? Quantity.signedPercent(relative.least)
      : "\(Quantity.signedPercent(relative.least)) .. \(Quantity.signedPercent(relative.most))"
  }
}

extension Metric {
  var text: String {
    least == most
      ? Self.text(least, unit) : "\(Self.text(least, unit)) .. \(Self.text(most, unit))"
  }

  static func text(_ value: UInt64, _ unit: Unit) -> String {
    switch unit {
    case .count, .pages: Quantity.count(value)
    case .bytes: Quantity.bytes(value)
    case .nanoseconds: Quantity.duration(value)
    }
  }
}
