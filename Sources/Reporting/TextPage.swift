/// A page of aligned text, safe for a terminal whatever a trace holds, and no wider than its form as far as words and numbers can be
/// broken.
///
/// Styles are values beside the text: a control sequence is written by `rendered` alone, where the form has colours.
struct TextPage {
  /// Where the values of rows begin.
  private static let valueColumn = 14

  /// What it is made for.
  let form: PageForm
  /// What shows the columns of tables that are left out where they do not fit, besides a wider terminal; nil for nothing.
  private let elsewhere: String?
  private var text = ""
  private var marks: [PageText.Mark] = []

  init(_ form: PageForm, elsewhere: String? = "--json") { (self.form, self.elsewhere) = (form, elsewhere) }

  /// The page, with colours where its form has them.
  var rendered: String { form.hasColour ? PageColours.render(text, marks) : text }

  /// How long a line of prose may be.
  private var proseWidth: Int { min(form.width, PageForm.proseWidth) }

  /// A line that is never broken, such as a path.
  mutating func title(_ title: String, _ style: PageStyle? = .heading) { append(PageText(title, style)) }

  /// A line that is never broken.
  mutating func drawing(_ line: PageText) { append(line) }

  mutating func blank() { text += "\n" }

  /// A line over a part of the page.
  mutating func heading(_ line: String) { self.line(PageText(line, .heading)) }

  /// A line; what does not fit goes on in the next one, indented.
  mutating func line(_ line: String) { self.line(PageText(line)) }

  /// A line; what does not fit goes on in the next one, indented.
  mutating func line(_ line: PageText) {
    let indent = line.text.prefix { $0 == " " }.count
    var parts = Self.wrap(line.text.dropFirst(indent), to: proseWidth - indent)
    if parts.count > 1 {
      parts = [parts[0]] + Self.wrap(line.text[parts[0].endIndex...].dropFirst(), to: proseWidth - indent - 2)
    }
    for (position, part) in parts.enumerated() {
      append(part, of: line, behind: Self.blanks(position == 0 ? indent : indent + 2))
    }
  }

  /// A line of a list.
  mutating func item(_ text: String) { line("  - " + text) }

  /// A named value, indented and aligned with the other rows; a long one takes several lines.
  ///
  /// - Parameter style: what the name is.
  mutating func row(_ name: String, _ value: String, _ style: PageStyle? = nil) {
    row(name, PageText(value), style)
  }

  /// A named value, indented and aligned with the other rows; a long one takes several lines.
  mutating func row(_ name: String, _ value: PageText, _ style: PageStyle? = nil) {
    for (position, part) in Self.wrap(value.text[...], to: proseWidth - Self.valueColumn).enumerated() {
      if position == 0, let style {
        marks.append(.init(range: text.utf8.count + 2..<text.utf8.count + 2 + name.utf8.count, style: style))
      }
      append(part, of: value, behind: "  " + pad(position == 0 ? name : "", to: Self.valueColumn - 2))
    }
  }

  /// Bars under the value of a row, on a terminal alone: shares of `whole`, as long as the largest of them is not all there is.
  mutating func bars(_ bars: [(name: String, part: Int)], of whole: Int) {
    let bars = bars.filter { $0.part > 0 }
    guard form.isTerminal, bars.count > 1 else { return }
    let names = bars.map { Self.columns($0.name) }.max() ?? 0
    let width = min(40, form.width - Self.valueColumn - names - 11)
    for bar in bars {
      let drawn = Bars.bar(Double(bar.part) / Double(whole), width: width, form)
      append(
        PageText(
          Self.blanks(Self.valueColumn) + pad(bar.name, to: names) + "  " + pad(drawn, to: width) + "  "
            + Quantity.percent(UInt64(bar.part), of: UInt64(whole))))
    }
  }

  /// A table whose columns are as wide as their widest cell, or narrower where they do not fit. On a terminal, columns that do not fit
  /// then are left out, and a line says which.
  ///
  /// - Parameters:
  ///   - spare: what may be left out, first what can be done without most easily; without it, the last columns.
  ///   - style: what a cell is.
  mutating func table(
    header: [String], alignRight: [Bool], rows: [[String]], spare: [SpareColumns]? = nil,
    style: ((_ row: Int, _ column: Int) -> PageStyle?)? = nil
  ) {
    let rows = [header] + rows.map { $0.map(Safe.line) }
    let spare = spare ?? header.indices.dropFirst().reversed().map { SpareColumns(integerLiteral: $0) }
    let layout = TableLayout(
      rows: rows, alignRight: alignRight, width: form.width, spare: form.isTerminal ? spare : [])
    for (position, row) in rows.enumerated() {
      append(row, layout, alignRight) { column in
        position == 0 ? .heading : style?(position - 1, column)
      }
    }
    let names = layout.leftOut.compactMap { $0.title(header) }
    guard !names.isEmpty else { return }
    line(
      "  left out, for want of columns: \(names.joined(separator: ", ")); a terminal of \(layout.widthOfAll) columns shows all"
        + (elsewhere.map { ", and so does \($0)" } ?? ""))
  }

  private mutating func append(
    _ row: [String], _ layout: TableLayout, _ alignRight: [Bool], style: (Int) -> PageStyle?
  ) {
    let cells = zip(layout.columns, layout.widths).map { column, width in
      Self.columns(row[column]) <= width
        ? [row[column]]
        : alignRight[column]
          ? Self.ends(row[column]) : Self.wrap(row[column][...], to: width).map(String.init)
    }
    for part in 0..<(cells.map(\.count).max() ?? 0) {
      // What is blank at the end of a line is left out.
      var blanks = 0
      for (position, column) in layout.columns.enumerated() {
        let cell = part < cells[position].count ? cells[position][part] : ""
        let padding = max(0, layout.widths[position] - Self.columns(cell))
        blanks += (position == 0 ? 2 : layout.gap) + (alignRight[column] ? padding : 0)
        if !cell.isEmpty {
          text += Self.blanks(blanks)
          if form.hasColour, let style = style(column) {
            marks.append(.init(range: text.utf8.count..<text.utf8.count + cell.utf8.count, style: style))
          }
          text += cell
          blanks = 0
        }
        if !alignRight[column] { blanks += padding }
      }
      while text.utf8.last == UInt8(ascii: " ") { text.removeLast() }
      text += "\n"
    }
  }

  /// How many columns a text takes that has nothing to escape. Nearly all are of ASCII, which needs no search for what makes one
  /// character.
  static func columns(_ text: some StringProtocol) -> Int {
    text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.count
  }

  static func blanks(_ count: Int) -> String {
    String(unsafeUninitializedCapacity: count) { bytes in
      bytes.initialize(repeating: UInt8(ascii: " "))
      return count
    }
  }

  /// The two ends of a range, each for a line of its own; what is no range is one piece.
  static func ends(_ cell: String) -> [String] {
    // Most cells have no dots, and to search for a text takes longer than to see that.
    let mayBeRange = zip(cell.utf8, cell.utf8.dropFirst()).contains {
      $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".")
    }
    guard mayBeRange, let dots = cell.firstRange(of: " .. ") else { return [cell] }
    return [cell[..<dots.lowerBound] + " ..", String(cell[dots.upperBound...])]
  }

  private mutating func append(_ line: PageText) { append(line.text[...], of: line, behind: "") }

  /// A line with a piece of a text.
  private mutating func append(_ part: Substring, of whole: PageText, behind indent: String) {
    text += indent
    if !whole.marks.isEmpty {
      let begin = whole.text.utf8.distance(from: whole.text.startIndex, to: part.startIndex)
      let range = begin..<begin + part.utf8.count
      let shift = text.utf8.count - begin
      for mark in whole.marks where mark.range.overlaps(range) {
        let here = mark.range.clamped(to: range)
        marks.append(.init(range: here.lowerBound + shift..<here.upperBound + shift, style: mark.style))
      }
    }
    text += part
    text += "\n"
  }

  /// Breaks a text at blanks into pieces of at most `width` characters; what has no blank stays whole.
  private static func wrap(_ text: Substring, to width: Int) -> [Substring] {
    guard columns(text) > width else { return [text] }
    var lines: [Substring] = []
    var line = text.prefix(0)
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      if line.isEmpty {
        line = word
      } else if columns(line) + 1 + columns(word) > width {
        lines.append(line)
        line = word
      } else {
        line = text[line.startIndex..<word.endIndex]
      }
    }
    lines.append(line)
    return lines
  }

  private func pad(_ text: String, to width: Int) -> String {
    text + Self.blanks(max(0, width - Self.columns(text)))
  }
}
