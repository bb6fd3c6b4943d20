/// Bars from left to right, one row below the other, each with its name and its figures in words above it. Words and numbers keep their
/// size whatever the width of the page is, and no script is needed.
struct BarChart {
  /// One row.
  struct Row {
    var name: String
    /// Its figures in words.
    var value: String
    /// What is drawn, of which the later ones cover the earlier ones.
    var bars: [Bar]
  }

  /// A stretch of the axis.
  struct Bar {
    /// Where it begins and ends: 0 at the left, 1 at the right.
    var begin: Double
    var end: Double
    /// How it is drawn.
    var key: LegendEntry.Key

    fileprivate var style: String {
      switch key {
      case .area(let number): "area a\(number)"
      case .line(let number): "line l\(number)"
      case .swatch(let name): "\(name)"
      }
    }
  }

  /// What the places from left to right stand for.
  struct Axis {
    /// A value that is marked.
    struct Tick {
      var share: Double
      var label: String
      /// Whether a narrow screen has no room for its label.
      var isOdd = false
    }

    var ticks: [Tick]
    /// What is counted.
    var caption: String
  }

  var words: FigureWords
  var axis: Axis
  /// An axis above the rows, where the same places stand for something else, too.
  var upper: Axis?
  var rows: [Row]
  /// Where nothing is, from which bars go to either side.
  var zero = 0.0
  /// What stands below.
  var note = ""

  private static let rowHeight = 40
  /// From the top of a row to the foot of its words, and to its bar.
  private static let (textFoot, barTop, barHeight) = (14, 19, 13)
  /// What an axis takes.
  private static let axisHeight = 34

  private var top: Int { upper == nil ? 0 : Self.axisHeight }
  private var bottom: Int { top + rows.count * Self.rowHeight }

  /// The figure.
  var figure: Markup {
    .element("figure", ["class": "chart", "id": words.id]) {
      words.caption
      Markup.element(
        "svg",
        [
          "class": "bars", "role": "img", "width": "100%", "height": String(bottom + Self.axisHeight),
          "aria-labelledby": words.labels,
        ]
      ) {
        words.label
        if let upper { axis(upper, lines: top - 4...top, numbers: top - 8, caption: top - 22) }
        axis(axis, lines: top...bottom + 4, numbers: bottom + 16, caption: bottom + 30)
        Markup.empty(
          "line",
          [
            "class": "base", "x1": Coordinate.percent(zero), "x2": Coordinate.percent(zero),
            "y1": String(top), "y2": String(bottom),
          ])
        for (number, row) in rows.enumerated() { markup(row, top: top + number * Self.rowHeight) }
      }
      if !note.isEmpty { Markup.note(note) }
    }
  }

  private func markup(_ row: Row, top: Int) -> Markup {
    .element("g", ["class": "row"]) {
      for bar in row.bars {
        Markup.empty(
          "rect",
          [
            "class": bar.style, "x": Coordinate.percent(bar.begin), "y": String(top + Self.barTop),
            "width": Coordinate.percent(max(bar.end - bar.begin, 0)), "height": String(Self.barHeight),
          ])
      }
      Markup.element("text", ["y": String(top + Self.textFoot)]) { row.name }
      Markup.element("text", ["class": "value", "x": "100%", "y": String(top + Self.textFoot)]) { row.value }
    }
  }

  private func axis(_ axis: Axis, lines: ClosedRange<Int>, numbers: Int, caption: Int) -> Markup {
    .element("g", ["class": "x"]) {
      for tick in axis.ticks {
        let x = Coordinate.percent(tick.share)
        Markup.element("g", ["class": tick.isOdd ? "odd" : ""]) {
          Markup.empty(
            "line", ["x1": x, "x2": x, "y1": String(lines.lowerBound), "y2": String(lines.upperBound)])
          Markup.element("text", ["class": Self.anchor(tick.share), "x": x, "y": String(numbers)]) {
            tick.label
          }
        }
      }
      Markup.element("text", ["x": "50%", "y": String(caption)]) { axis.caption }
    }
  }

  /// At the edges words begin or end where their mark is.
  private static func anchor(_ share: Double) -> String {
    share < 0.03 ? "first" : share > 0.97 ? "last" : ""
  }
}

extension BarChart.Axis {
  /// The marks of values from 0 on.
  init(_ values: ValueAxis, _ caption: String) {
    ticks = values.ticks.enumerated().map { Tick(share: $1.share, label: $1.label, isOdd: $0 % 2 == 1) }
    self.caption = caption
  }

  /// The marks of the same places where each stands for so many times as much.
  init(_ values: ValueAxis, times factor: Double, _ caption: String) {
    let own = ValueAxis(values.unit, upTo: values.high * factor)
    self.init(own, caption)
    for position in ticks.indices { ticks[position].share *= own.high / (values.high * factor) }
    ticks.removeAll { $0.share > 1 }
  }
}
