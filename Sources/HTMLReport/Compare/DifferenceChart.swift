internal import Reporting

/// The differences at a glance: a bar for each figure, to the right where the second side has more.
struct DifferenceChart {
  /// A stretch of percentages, of which 1 is 100 %.
  private struct Span {
    var least: Double
    var most: Double
    var key: LegendEntry.Key
    /// What the legend says of it.
    var meaning: String

    init(_ first: Double, _ second: Double, _ key: LegendEntry.Key, _ meaning: String) {
      (least, most) = (min(first, second), max(first, second))
      (self.key, self.meaning) = (key, meaning)
    }
  }

  /// A figure with its bar.
  private struct Item {
    var row: Comparison.Row
    var spans: [Span]

    var size: Double { spans.map { max($0.most.magnitude, $0.least.magnitude) }.max() ?? 0 }
  }

  private let comparison: Comparison
  /// Figures that differ and have a percentage, in the order of the table.
  private let items: [Item]

  init(comparison: Comparison) {
    self.comparison = comparison
    items = comparison.rows.filter(\.isWorthShowing).compactMap { row in
      row.relative.map { Item(row: row, spans: Self.spans(row, $0.least, $0.most)) }
    }
  }

  /// The chart, and what it cannot show; nothing where there is nothing to draw.
  var markup: Markup {
    guard !items.isEmpty else { return unshown }
    let drawn = drawn
    let spans = drawn.flatMap(\.spans)
    let axis = PercentAxis(spans.map(\.least).min() ?? 0, spans.map(\.most).max() ?? 0)
    let chart = BarChart(
      words: words(drawn), axis: axis.axis,
      rows: drawn.map { item in
        BarChart.Row(
          name: item.row.metric.name, value: item.row.relativeText,
          bars: item.spans.map {
            BarChart.Bar(begin: axis.share($0.least), end: axis.share($0.most), key: $0.key)
          })
      }, zero: axis.share(0))
    return chart.figure + LeftOut.note(items.count - drawn.count, "figure", "the table has all") + unshown
  }

  /// Of too many figures those that differ most.
  private var drawn: [Item] {
    let order = items.indices.sorted { (items[$1].size, $0) < (items[$0].size, $1) }
    return order.prefix(PageLimits.bars).sorted().map { items[$0] }
  }

  /// Figures that the first side has nothing of have no percentage.
  private var unshown: Markup {
    let names = comparison.rows.filter { $0.isWorthShowing && $0.relative == nil }.map(\.metric.name)
    guard !names.isEmpty else { return Markup() }
    return .note(
      "Nothing before, or perhaps nothing, so that there is no percentage: \(names.joined(separator: ", ")).")
  }

  private func words(_ drawn: [Item]) -> FigureWords {
    let greatest = drawn.max { $0.size < $1.size }
    var words = FigureWords(
      id: "differences-chart", title: "Differences in percent of the first side",
      description: "\(Quantity.count(drawn.count, "figure")), each with a bar from nothing to its difference"
        + (comparison.subject == .kernels ? ", or from the least to the most that the trace allows" : "")
        + (greatest.map { "; the greatest is \($0.row.metric.name): \($0.row.relativeText)" } ?? "") + ".",
      basis: Markup())
    for span in drawn.flatMap(\.spans) where !words.legend.contains(where: { $0.name == span.meaning }) {
      words.legend.append(LegendEntry(key: span.key, name: span.meaning))
    }
    return words
  }

  /// What is drawn of a difference; what comes later covers what comes first.
  private static func spans(_ row: Comparison.Row, _ least: Double, _ most: Double) -> [Span] {
    switch row.kind {
    case .exact: return [Span(0, most, .area(0), "exact")]
    case .assumed: return [Span(0, most, .area(2), "assumed")]
    case .range:
      let near = least > 0 ? least : min(most, 0)
      let range = Span(least, most, .area(1), "range: from the least to the most")
      return near == 0 ? [range] : [Span(0, near, .area(4), "what a range has at least"), range]
    case .measured, .unknown:
      let middle = (least + most) / 2
      let mean = Span(0, middle, .area(0), row.noise == nil ? "difference" : "difference of the means")
      let noise = most - middle
      return noise > 0
        ? [mean, Span(-noise, noise, .swatch("gap"), "noise: what chance makes of it")] : [mean]
    }
  }
}
