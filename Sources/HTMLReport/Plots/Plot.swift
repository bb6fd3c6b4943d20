internal import Reporting

/// What every plot over time is: a figure with a heading, a legend, and an SVG that is as wide as the page lets it be. The times and
/// values at its sides keep their size, whatever its width; only what is drawn is stretched.
struct Plot {
  /// Its id in the page.
  var id: String
  /// What it shows.
  var title: String
  /// The same in a few sentences with the main figures, for who does not see it.
  var description: String
  /// How what it shows is known.
  var basis: Markup
  /// The time.
  var time: TimeAxis
  /// The height of what is drawn, in pixels.
  var height = 170
  /// When events are missing.
  var gaps: [Range<UInt64>] = []
  /// What belongs to a moment.
  var marks: [PlotMark] = []
  /// What tells the lines and areas apart.
  var legend: [LegendEntry] = []
  /// What stands below.
  var note = ""

  /// What is drawn has this width, and the height of the plot.
  static let width = 1000.0
  /// What stands below what is drawn, in pixels.
  private static let footer = 34

  /// The figure.
  ///
  /// - Parameters:
  ///   - values: the axis at the left; nil for a plot that has another one in `side`.
  ///   - side: what else stands at the sides, in pixels from the top.
  ///   - drawing: what is drawn, in a space of `width` by `height`.
  ///   - data: what the script shows where it is pointed at.
  func figure(values: ValueAxis?, side: Markup = Markup(), drawing: Markup, data: Markup) -> Markup {
    .element(
      "figure",
      [
        "class": "plot", "id": id, "data-start": String(time.start), "data-span": String(time.span),
        "data-unit": time.unit == .ticks ? "ticks" : "ns",
      ]
    ) {
      words.caption
      Markup.element(
        "svg",
        [
          "class": "frame", "role": "img", "width": "100%", "height": String(height + Self.footer),
          "aria-labelledby": words.labels,
        ]
      ) {
        words.label
        if let values { valueAxis(values) }
        timeAxis
        Markup.element(
          "svg",
          [
            "class": "data", "width": "100%", "height": String(height),
            "viewBox": "0 0 \(Coordinate.text(Self.width)) \(height)", "preserveAspectRatio": "none",
          ]
        ) {
          drawing
          bands
        }
        for (mark, isNear) in zip(marks, PlotMark.near(marks, time)) { markup(mark, isNear: isNear) }
        side
      }
      data
      if !note.isEmpty { Markup.note(note) }
    }
  }

  private var words: FigureWords {
    FigureWords(id: id, title: title, description: description, basis: basis, legend: legend)
  }

  private func valueAxis(_ values: ValueAxis) -> Markup {
    .element("g", ["class": "y"]) {
      for tick in values.ticks {
        let y = Coordinate.text(Double(height) * (1 - tick.share))
        Markup.empty("line", ["x2": "100%", "y1": y, "y2": y])
        Markup.element("text", ["x": "-6", "y": y]) { tick.label }
      }
    }
  }

  private var timeAxis: Markup {
    .element("g", ["class": "x"]) {
      for (position, tick) in time.ticks.enumerated() {
        let x = Coordinate.percent(tick.share)
        Markup.element("g", ["class": position % 2 == 0 ? "" : "odd"]) {
          Markup.empty("line", ["x1": x, "x2": x, "y2": String(height + 4)])
          Markup.element("text", ["x": x, "y": String(height + 16)]) { tick.label }
        }
      }
      Markup.element("text", ["class": "axis", "x": "50%", "y": String(height + 30)]) { time.caption }
    }
  }

  /// All gaps as one path, so that many of them take as little of the page as one.
  private var bands: Markup {
    let extents = gaps.compactMap { time.extent($0) }
    guard !extents.isEmpty else { return Markup() }
    let path = extents.map { extent in
      "M\(Coordinate.text(extent.begin * Self.width)) 0h\(Coordinate.text(extent.width * Self.width))v\(height)"
        + "h-\(Coordinate.text(extent.width * Self.width))z"
    }
    return .empty("path", ["class": "gap", "d": path.joined()])
  }

  /// - Parameter isNear: whether its label would be written over the next one's on a narrow screen, which leaves it out.
  private func markup(_ mark: PlotMark, isNear: Bool) -> Markup {
    let share = time.share(mark.time)
    guard share >= 0, share <= 1 else { return Markup() }
    let x = Coordinate.percent(share)
    // At the right edge a label has its place on the left.
    let classes = "mark \(mark.kind.rawValue)" + (share > 0.95 ? " late" : "") + (isNear ? " near" : "")
    return .element("g", ["class": classes, "data-x": Coordinate.text(share * 1e5)]) {
      if let height = mark.height {
        let y = Coordinate.text(Double(self.height) * (1 - height))
        Markup.empty("circle", ["cx": x, "cy": y, "r": "7"])
        Markup.element("text", ["x": x, "y": y]) { mark.label }
      } else {
        Markup.empty("line", ["x1": x, "x2": x, "y2": String(height)])
        Markup.element("text", ["x": x, "y": "0"]) { mark.label }
      }
    }
  }
}

/// Something at one moment of a plot.
struct PlotMark {
  /// What it is.
  enum Kind: String {
    /// The longest hold or wait, with its number in the table.
    case hold, wait
    /// Something that happened.
    case event
  }

  var kind: Kind
  var time: UInt64
  /// How high it is, 0 to 1; nil for a line from top to bottom.
  var height: Double?
  /// What is written there.
  var label: String

  /// Which labels of marks, in the order of time, are too close to the next one that is written for a narrow screen. Numbers of holds and
  /// waits are always written.
  static func near(_ marks: [PlotMark], _ time: TimeAxis) -> [Bool] {
    var next = Double.infinity
    let near = marks.reversed().map { mark in
      guard mark.height == nil else { return false }
      let share = time.share(mark.time)
      // One at the right edge is on the left of its line.
      if next - share < (next > 0.95 ? 0.12 : 0.06) { return true }
      next = share
      return false
    }
    return near.reversed()
  }

  /// Marks in the order of time, of which those that would be written over each other are one.
  static func joined(_ marks: [PlotMark], _ time: TimeAxis) -> [PlotMark] {
    var joined: [PlotMark] = []
    for mark in marks.sorted(by: { $0.time < $1.time }) {
      if let last = joined.last, time.share(mark.time) - time.share(last.time) < 0.015 {
        if last.label != mark.label { joined[joined.count - 1].label += ", \(mark.label)" }
      } else {
        joined.append(mark)
      }
    }
    return joined
  }
}
