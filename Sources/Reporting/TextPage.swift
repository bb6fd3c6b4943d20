/// A page of aligned text, safe for a terminal whatever a trace holds.
struct TextPage {
  private(set) var text = ""

  mutating func title(_ title: String) { line(title) }

  mutating func blank() { text += "\n" }

  mutating func line(_ line: String) {
    text += Safe.line(line)
    text += "\n"
  }

  /// A named value, indented and aligned with the other rows.
  mutating func row(_ name: String, _ value: String) {
    line("  " + pad(name, to: 12) + value)
  }

  /// A line of a list, broken at words where it does not fit the page.
  mutating func item(_ text: String) {
    var start = "  - "
    var rest = text.split(separator: " ")[...]
    while !rest.isEmpty {
      var cells = start + rest.removeFirst()
      while let word = rest.first, cells.count + word.count < Self.width {
        cells += " " + word
        rest.removeFirst()
      }
      line(cells)
      start = "    "
    }
  }

  /// The most characters of a line.
  private static let width = 99

  /// A table whose columns are as wide as their widest cell.
  mutating func table(header: [String], alignRight: [Bool], rows: [[String]]) {
    let rows = rows.map { $0.map(Safe.line) }
    let widths = header.indices.map { column in
      ([header] + rows).map { $0[column].count }.max() ?? 0
    }
    for row in [header] + rows {
      var cells = ""
      for (column, cell) in row.enumerated() {
        cells += column == 0 ? "  " : "   "
        cells += alignRight[column] ? padLeft(cell, to: widths[column]) : pad(cell, to: widths[column])
      }
      while cells.hasSuffix(" ") { cells.removeLast() }
      line(cells)
    }
  }

  private func pad(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  private func padLeft(_ text: String, to width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
