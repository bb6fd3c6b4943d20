internal import KVMTypes

/// A table of a page: a caption, a header for each column, and one for each row. It scrolls by itself where a page is too narrow.
struct DataTable {
  /// What the table tells.
  var caption: String
  /// The heads of the columns.
  var header: [String]
  /// Which columns hold numbers.
  var numbers: Set<Int> = []
  /// The rows; the first cell of each is its head.
  var rows: [[Cell]] = []

  /// One cell.
  enum Cell {
    /// A text.
    case text(String)
    /// How something is known.
    case basis(Basis?)
    /// A text with how it is known.
    case known(String, Basis?)

    /// The text, where it has one.
    var text: String? {
      switch self {
      case .text(let text), .known(let text, _): text
      case .basis: nil
      }
    }
  }

  /// A row of texts.
  mutating func row(_ cells: String...) { rows.append(cells.map(Cell.text)) }

  /// A row of texts with how they are known behind them.
  mutating func row(_ cells: String..., basis: Basis?) {
    rows.append(cells.map(Cell.text) + [.basis(basis)])
  }

  /// The table; nothing where it has no rows.
  var markup: Markup {
    guard !rows.isEmpty else { return Markup() }
    return .element("div", ["class": "wide", "role": "region", "tabindex": "0", "aria-label": caption]) {
      Markup.element("table") {
        Markup.element("caption") { caption }
        Markup.element("thead") {
          Markup.element("tr") {
            for (column, title) in header.enumerated() {
              Markup.element("th", ["scope": "col", "class": kind(column)]) { title }
            }
          }
        }
        Markup.element("tbody") {
          for row in rows { markup(row) }
        }
      }
    }
  }

  private func markup(_ row: [Cell]) -> Markup {
    .element("tr") {
      for (column, cell) in row.enumerated() {
        if column == 0 {
          Markup.element("th", ["scope": "row", "class": kind(column)]) { content(cell) }
        } else {
          Markup.element("td", ["class": kind(column)]) { content(cell) }
        }
      }
    }
  }

  private func content(_ cell: Cell) -> Markup {
    switch cell {
    case .text(let text): Markup(text)
    case .basis(let basis): BasisMark.markup(basis)
    case .known(let text, let basis): Markup(text + " ") + BasisMark.markup(basis)
    }
  }

  private func kind(_ column: Int) -> String { numbers.contains(column) ? "n" : "t" }
}

extension DataTable {
  /// Tables beside each other where the page is wide enough.
  static func row(of tables: DataTable...) -> Markup {
    .element("div", ["class": "tables"]) {
      for table in tables { table.markup }
    }
  }
}

/// How something is known, as every page marks it: the word, with a sign of its own.
enum BasisMark {
  static func markup(_ basis: Basis?) -> Markup {
    let word = basis?.name ?? "unknown"
    return .element("span", ["class": "basis \(word)"]) { word }
  }
}
