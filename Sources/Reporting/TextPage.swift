/// A page of aligned text, safe for a terminal whatever a trace holds, and no wider than one of 100 columns as far as words and
/// numbers can be broken.
struct TextPage {
  /// The columns of the page.
  static let width = 100
  /// Where the values of rows begin.
  private static let valueColumn = 14
  /// What is left of a column of words that has to give way to others.
  private static let narrowest = 16

  private(set) var text = ""

  /// A line that is never broken, such as a path.
  mutating func title(_ title: String) { append(Safe.line(title)) }

  mutating func blank() { text += "\n" }

  /// A line; what does not fit goes on in the next one, indented.
  mutating func line(_ line: String) {
    let line = Safe.line(line)
    let indent = line.prefix { $0 == " " }.count
    var lines = Self.wrap(line.dropFirst(indent), to: Self.width - indent)
    if lines.count > 1 {
      let rest = lines[0].count + 1
      lines = [lines[0]] + Self.wrap(line.dropFirst(indent + rest), to: Self.width - indent - 2)
    }
    for (position, part) in lines.enumerated() {
      append(String(repeating: " ", count: position == 0 ? indent : indent + 2) + part)
    }
  }

  /// A line of a list.
  mutating func item(_ text: String) { line("  - " + text) }

  /// A named value, indented and aligned with the other rows; a long one takes several lines.
  mutating func row(_ name: String, _ value: String) {
    for (position, part) in Self.wrap(Safe.line(value)[...], to: Self.width - Self.valueColumn).enumerated() {
      append("  " + pad(position == 0 ? name : "", to: Self.valueColumn - 2) + part)
    }
  }

  /// A table whose columns are as wide as their widest cell. Where they do not fit, the gaps between them narrow, then
  /// columns of words, then ranges, whose cells then take several lines.
  mutating func table(header: [String], alignRight: [Bool], rows: [[String]]) {
    let rows = rows.map { $0.map(Safe.line) }
    var widths = header.indices.map { column in
      rows.reduce(Self.columns(header[column])) { max($0, Self.columns($1[column])) }
    }
    let content = widths.reduce(2, +)
    let gap = content + 3 * (widths.count - 1) <= Self.width ? 3 : 2
    let excess = content + gap * (widths.count - 1) - Self.width
    if excess > 0 { Self.narrow(&widths, by: excess, alignRight, [header] + rows) }
    for row in [header] + rows { append(row, widths, alignRight, gap: gap) }
  }

  /// Takes `excess` from the widths of columns, as far as their cells can be broken.
  private static func narrow(_ widths: inout [Int], by excess: Int, _ alignRight: [Bool], _ rows: [[String]])
  {
    let least = widths.indices.map { column in
      let pieces = rows.flatMap { row in
        alignRight[column] ? Self.ends(row[column]) : row[column].split(separator: " ").map(String.init)
      }
      return max(pieces.map(Self.columns).max() ?? 0, alignRight[column] ? 0 : Self.narrowest)
    }
    var excess = excess
    for isRange in [false, true] {
      while excess > 0,
        let widest = widths.indices.filter({ alignRight[$0] == isRange && widths[$0] > least[$0] })
          .max(by: { widths[$0] < widths[$1] })
      {
        // A range is in one piece, or in two.
        let step = isRange ? widths[widest] - least[widest] : 1
        widths[widest] -= step
        excess -= step
      }
    }
  }

  private mutating func append(_ row: [String], _ widths: [Int], _ alignRight: [Bool], gap: Int) {
    let cells = row.indices.map { column in
      Self.columns(row[column]) <= widths[column]
        ? [row[column]]
        : alignRight[column] ? Self.ends(row[column]) : Self.wrap(row[column][...], to: widths[column])
    }
    for part in 0..<(cells.map(\.count).max() ?? 0) {
      // What is blank at the end of a line is left out.
      var blanks = 0
      for column in cells.indices {
        let cell = part < cells[column].count ? cells[column][part] : ""
        let padding = max(0, widths[column] - Self.columns(cell))
        blanks += (column == 0 ? 2 : gap) + (alignRight[column] ? padding : 0)
        if !cell.isEmpty {
          text += Self.blanks(blanks)
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
  private static func columns(_ text: some StringProtocol) -> Int {
    text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.count
  }

  private static func blanks(_ count: Int) -> String {
    String(unsafeUninitializedCapacity: count) { bytes in
      bytes.initialize(repeating: UInt8(ascii: " "))
      return count
    }
  }

  /// The two ends of a range, each for a line of its own; what is no range is one piece.
  private static func ends(_ cell: String) -> [String] {
    // Most cells have no dots, and to search for a text takes longer than to see that.
    let mayBeRange = zip(cell.utf8, cell.utf8.dropFirst()).contains {
      $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".")
    }
    guard mayBeRange, let dots = cell.firstRange(of: " .. ") else { return [cell] }
    return [cell[..<dots.lowerBound] + " ..", String(cell[dots.upperBound...])]
  }

  private mutating func append(_ line: String) {
    text += line
    text += "\n"
  }

  /// Breaks a text at blanks into pieces of at most `width` characters; what has no blank stays whole.
  private static func wrap(_ text: Substring, to width: Int) -> [String] {
    guard columns(text) > width else { return [String(text)] }
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
      if !line.isEmpty, columns(line) + 1 + columns(word) > width {
        lines.append(line)
        line = String(word)
      } else {
        line += (line.isEmpty ? "" : " ") + word
      }
    }
    lines.append(line)
    return lines
  }

  private func pad(_ text: String, to width: Int) -> String {
    text + Self.blanks(max(0, width - Self.columns(text)))
  }
}
