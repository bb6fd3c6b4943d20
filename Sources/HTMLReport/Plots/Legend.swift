/// What one line, area or bar of a picture stands for.
struct LegendEntry {
  /// How something is drawn: as an area with a pattern, or as a line with dashes.
  enum Key {
    case area(Int)
    case line(Int)
    /// A class of the style's own.
    case swatch(StaticString)
  }

  var key: Key
  var name: String

  static func list(_ entries: [LegendEntry]) -> Markup {
    .element("ul", ["class": "legend"]) {
      for entry in entries {
        Markup.element("li") {
          Markup.element("svg", ["width": "22", "height": "12", "aria-hidden": "true"]) {
            switch entry.key {
            case .area(let number):
              Markup.empty("rect", ["width": "22", "height": "12", "class": "area a\(number)"])
            case .line(let number):
              Markup.empty("line", ["y1": "6", "x2": "22", "y2": "6", "class": "line l\(number)"])
            case .swatch(let name):
              Markup.empty("rect", ["width": "22", "height": "12", "class": "\(name)"])
            }
          }
          " \(entry.name)"
        }
      }
    }
  }
}

/// What every picture has in words: above it a title, how it is known and a legend; inside of it a title and a description for who does
/// not see it.
struct FigureWords {
  /// The id of the picture in the page.
  var id: String
  /// What it shows.
  var title: String
  /// The same in a few sentences with the main figures.
  var description: String
  /// How what it shows is known.
  var basis: Markup
  /// What tells its parts apart.
  var legend: [LegendEntry] = []

  /// What stands above the picture.
  var caption: Markup {
    .element("figcaption") {
      Markup.element("strong") { title }
      " "
      basis
      if !legend.isEmpty { LegendEntry.list(legend) }
    }
  }

  /// The ids of what labels the SVG.
  var labels: String { "\(id)-t \(id)-d" }

  /// What labels the SVG, in it.
  var label: Markup {
    Markup.element("title", ["id": "\(id)-t"]) { title }
      + Markup.element("desc", ["id": "\(id)-d"]) { description }
  }
}
