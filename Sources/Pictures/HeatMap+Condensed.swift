internal import KVMTypes

extension HeatMap {
  /// The map with no more than so many columns, and no more than so many rows and gaps between rows: neighbours are one, by whole
  /// numbers of columns and powers of two of rows. It has no details.
  ///
  /// What a row counts is what happened in it: a call on memory of several rows counts in each, and so in one row of them several
  /// times.
  public func condensed(columns mostColumns: Int, lines mostLines: Int) -> HeatMap {
    let step = max(1, (columns + mostColumns - 1) / max(mostColumns, 1))
    var shift: UInt64 = 0
    while lines(shift) > max(mostLines, 1), (rowBytes << (shift + 1)) >> (shift + 1) == rowBytes {
      shift += 1
    }
    var map = self
    map.details = []
    map.interval = Nanoseconds(interval.rawValue.multipliedSaturated(by: UInt64(step)))
    map.columns = (columns + step - 1) / step
    map.rowBytes = rowBytes << shift
    map.rows = []
    for row in rows {
      let base = IPA(row.base.rawValue / map.rowBytes * map.rowBytes)
      let cells = Self.united(row.cells, step)
      if map.rows.last?.base == base {
        for column in cells.indices { map.rows[map.rows.count - 1].cells[column].add(cells[column]) }
      } else {
        map.rows.append(Row(base: base, cells: cells))
      }
    }
    return map
  }

  /// The memory between a row and the one before it; 0 for none, and for the first row.
  public func gap(before row: Int) -> UInt64 {
    row == 0 ? 0 : rows[row].base.rawValue - rows[row - 1].base.rawValue - rowBytes
  }

  /// How many rows and gaps there are where 2^shift rows are one.
  private func lines(_ shift: UInt64) -> Int {
    var count = 0
    var last: UInt64?
    for row in rows {
      let key = row.base.rawValue / (rowBytes << shift)
      if key == last { continue }
      count += last.map { key - $0 > 1 ? 2 : 1 } ?? 1
      last = key
    }
    return count
  }

  /// Cells of which each is `step` of those before it.
  private static func united(_ cells: [Cell], _ step: Int) -> [Cell] {
    stride(from: 0, to: cells.count, by: step).map { begin in
      var cell = cells[begin]
      for next in cells[begin + 1..<min(begin + step, cells.count)] { cell.merge(next) }
      return cell
    }
  }
}
