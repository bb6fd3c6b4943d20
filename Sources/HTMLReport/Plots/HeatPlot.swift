/// Addresses from top to bottom over time from left to right: pictures on top of each other, between axes.
struct HeatPlot {
  /// A picture with the class that shows and hides it.
  struct Layer {
    var name: String
    var picture: PalettePNG
  }

  /// A stretch of guest memory at the side.
  struct Slot {
    /// From the top, in rows.
    var rows: Range<Int>
    var label: String
    /// Whether its place is not certain.
    var isAssumed: Bool
  }

  /// The pictures, the lowest first.
  var layers: [Layer]
  /// The rows of each.
  var rows: Int
  /// The height of a row in pixels.
  var rowHeight: Int
  /// The time of the pictures, which may be longer than that of the plot.
  var time: Range<UInt64>
  /// The addresses that are written at the left: the row, and what is written.
  var addresses: [(row: Int, label: String)]
  /// The slots at the right.
  var slots: [Slot] = []
  /// Rows that lead somewhere: the row, the id and what that is.
  var links: [(row: Int, id: String, title: String)] = []
  /// What the script shows, as it packs it.
  var data: Markup

  /// The figure.
  func figure(_ plot: Plot) -> Markup {
    var plot = plot
    plot.height = rows * rowHeight
    let begin = plot.time.share(time.lowerBound) * Plot.width
    let width = max(plot.time.share(time.upperBound) * Plot.width - begin, 0.01)
    var drawing = Markup()
    for layer in layers {
      drawing += .empty(
        "image",
        [
          "class": "layer \(layer.name)", "x": Coordinate.text(begin), "y": "0",
          "width": Coordinate.text(width),
          "height": String(plot.height), "preserveAspectRatio": "none", "href": layer.picture.address,
        ])
    }
    return plot.figure(values: nil, side: side(plot), drawing: drawing, data: data)
  }

  private func side(_ plot: Plot) -> Markup {
    .element("g", ["class": "addresses"]) {
      for address in addresses {
        let y = Coordinate.text(Double(address.row * rowHeight))
        Markup.empty("line", ["x2": "100%", "y1": y, "y2": y])
        Markup.element("text", ["x": "-6", "y": y]) { address.label }
      }
    }
      + .element("g", ["class": "slots"]) {
        for (position, slot) in slots.enumerated() { markup(slot, lane: position % 2) }
      }
      + .element("g", ["class": "links"]) {
        for link in links {
          Markup.element("a", ["href": "#\(link.id)", "aria-label": link.title]) {
            Markup.empty(
              "rect",
              [
                "x": "-5", "y": String(link.row * rowHeight), "width": "5",
                "height": String(max(rowHeight, 2)),
              ])
          }
        }
      }
  }

  private func markup(_ slot: Slot, lane: Int) -> Markup {
    let height = max((slot.rows.upperBound - slot.rows.lowerBound) * rowHeight, 2)
    return .element(
      "svg", ["x": "100%", "y": String(slot.rows.lowerBound * rowHeight), "overflow": "visible"]
    ) {
      Markup.element("g", ["class": slot.isAssumed ? "slot maybe" : "slot"]) {
        Markup.element("title") { "slot \(slot.label)" }
        Markup.empty("rect", ["x": String(4 + 8 * lane), "width": "6", "height": String(height)])
        if height >= 12 {
          Markup.element("text", ["x": String(7 + 8 * lane), "y": String(height / 2)]) { slot.label }
        }
      }
    }
  }
}
