/// Columns of a table that may be left out where it does not fit.
struct SpareColumns: ExpressibleByIntegerLiteral {
  /// What they are called where the page says that they are left out; nil for bars, which repeat a figure.
  let name: String?
  let columns: [Int]

  /// A column by its header.
  init(integerLiteral column: Int) { (name, columns) = ("", [column]) }

  /// Columns that go together.
  init(_ columns: [Int], called name: String?) { (self.name, self.columns) = (name, columns) }

  /// What they are called.
  func title(_ header: [String]) -> String? {
    guard let name else { return nil }
    return name.isEmpty ? columns.map { header[$0] }.joined(separator: ", ") : name
  }
}

/// How wide the columns of a table are, and which are shown.
struct TableLayout {
  /// What is left of a column of words that has to give way to others.
  private static let narrowest = 16

  /// The columns that are shown.
  private(set) var columns: [Int]
  /// The width of each of them.
  private(set) var widths: [Int] = []
  /// The blanks between two columns.
  private(set) var gap = 3
  /// What was left out, in the order in which it went.
  private(set) var leftOut: [SpareColumns] = []
  /// How wide the table has to be for all columns but bars.
  private(set) var widthOfAll = 0

  private let rows: [[String]]
  private let alignRight: [Bool]
  private let width: Int

  /// - Parameters:
  ///   - rows: the cells, those of the header first.
  ///   - spare: what may be left out, first what can be done without most easily.
  init(rows: [[String]], alignRight: [Bool], width: Int, spare: [SpareColumns]) {
    (self.rows, self.alignRight, self.width) = (rows, alignRight, width)
    columns = Array(alignRight.indices)
    fit()
    let figures = columns.filter { column in !spare.contains { $0.name == nil && $0.columns.contains(column) }
    }
    widthOfAll = 2 + figures.map(least).reduce(0, +) + 2 * (figures.count - 1)
    for group in spare where total > width && columns.count > group.columns.count {
      columns.removeAll { group.columns.contains($0) }
      leftOut.append(group)
      fit()
    }
  }

  private var total: Int { widths.reduce(2, +) + gap * (widths.count - 1) }

  /// Makes columns as wide as their widest cell. Where they do not fit, the gaps between them narrow, then columns of words, then ranges,
  /// whose cells then take several lines.
  private mutating func fit() {
    widths = columns.map { column in rows.reduce(0) { max($0, TextPage.columns($1[column])) } }
    gap = widths.reduce(2, +) + 3 * (widths.count - 1) <= width ? 3 : 2
    let excess = total - width
    if excess > 0 { narrow(by: excess) }
  }

  /// Takes `excess` from the widths of columns, as far as their cells can be broken.
  private mutating func narrow(by excess: Int) {
    let least = columns.map(least)
    var excess = excess
    for isRange in [false, true] {
      while excess > 0,
        let widest = widths.indices.filter({
          alignRight[columns[$0]] == isRange && widths[$0] > least[$0]
        }).max(by: { widths[$0] < widths[$1] })
      {
        // A range is in one piece, or in two.
        let step = isRange ? widths[widest] - least[widest] : 1
        widths[widest] -= step
        excess -= step
      }
    }
  }

  /// How wide a column is at least: its longest piece that cannot be broken.
  private func least(of column: Int) -> Int {
    let pieces = rows.flatMap { row in
      alignRight[column] ? TextPage.ends(row[column]) : row[column].split(separator: " ").map(String.init)
    }
    let whole = rows.reduce(0) { max($0, TextPage.columns($1[column])) }
    let piece = pieces.map { TextPage.columns($0) }.max() ?? 0
    return alignRight[column] ? piece : min(max(piece, Self.narrowest), whole)
  }
}
