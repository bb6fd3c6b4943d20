internal import KVMTypes

/// The overview of a heat map: guest memory in regions, or in powers of two of them where there would be too many rows.
struct HeatRows {
  /// The most rows.
  static let most = 512

  private struct Row {
    var cells = Array(repeating: HeatMap.Cell(), count: HeatColumns.most)
    /// The pages that are mapped now.
    var mappedPages: UInt32 = 0

    /// What happened in other memory at the same time.
    mutating func add(_ other: Row) {
      mappedPages &+= other.mappedPages
      for column in cells.indices { cells[column].add(other.cells[column]) }
    }
  }

  /// log2 of the regions of a row.
  private(set) var shift: UInt64 = 0
  private var positions: [UInt64: Int] = [:]
  private var rows: [Row] = []
  /// The columns before this one have ended, and their cells say what was mapped then.
  private var open = 0

  /// Something happens in a region.
  mutating func count(_ kind: HeatMap.MarkKind, region: UInt64, column: Int, _ basis: Basis) {
    kind.count(in: &rows[position(of: region)].cells[column], basis)
  }

  /// Pages of a region are mapped, or fewer are than before.
  mutating func change(region: UInt64, mappedPages before: UInt32, to now: UInt32) {
    let position = position(of: region)
    rows[position].mappedPages = rows[position].mappedPages &- before &+ now
  }

  /// The columns before `column` have ended.
  mutating func close(before column: Int) {
    guard column > open else { return }
    for position in rows.indices {
      for closed in open..<column { rows[position].cells[closed].mappedPages = rows[position].mappedPages }
    }
    open = column
  }

  /// The pages that are mapped now, in all rows.
  var mappedPages: Int { rows.reduce(0) { $0 + Int($1.mappedPages) } }

  /// Nothing is mapped any more.
  mutating func release() {
    for position in rows.indices { rows[position].mappedPages = 0 }
  }

  /// Two columns become one.
  mutating func doubleColumns() {
    for position in rows.indices {
      for column in 0..<HeatColumns.most / 2 {
        var cell = rows[position].cells[2 * column]
        cell.merge(rows[position].cells[2 * column + 1])
        rows[position].cells[column] = cell
      }
      for column in HeatColumns.most / 2..<HeatColumns.most {
        rows[position].cells[column] = HeatMap.Cell()
      }
    }
    open /= 2
  }

  /// The rows by address, with that many columns.
  func finish(regionBytes: UInt64, columns: Int) -> [HeatMap.Row] {
    positions.sorted { $0.key < $1.key }.map { key, position in
      HeatMap.Row(base: IPA(key << shift &* regionBytes), cells: Array(rows[position].cells.prefix(columns)))
    }
  }

  private mutating func position(of region: UInt64) -> Int {
    if let known = positions[region >> shift] { return known }
    if rows.count == Self.most { while rows.count > Self.most / 2 { doubleRows() } }
    if let known = positions[region >> shift] { return known }
    positions[region >> shift] = rows.count
    rows.append(Row())
    return rows.count - 1
  }

  /// Two rows become one where both are there.
  private mutating func doubleRows() {
    var united = HeatRows()
    (united.shift, united.open) = (shift + 1, open)
    for (key, position) in positions.sorted(by: { $0.key < $1.key }) {
      if let known = united.positions[key >> 1] {
        united.rows[known].add(rows[position])
      } else {
        united.positions[key >> 1] = united.rows.count
        united.rows.append(rows[position])
      }
    }
    self = united
  }
}
