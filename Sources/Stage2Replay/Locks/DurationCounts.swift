/// How many durations there are of each length, to two significant digits.
///
/// The cells are those of a high dynamic range histogram (HdrHistogram with two digits): as wide as 1 up to 255, and from
/// there on 128 of them for every power of two. Memory: 512 bytes for each power of two between the shortest and the
/// longest, none before the first duration.
package struct DurationCounts: Sendable {
  /// Cells of a row are equally wide.
  private static let cellsPerRow = 128
  /// The cells of consecutive rows, those that hold anything.
  private var cells: ContiguousArray<UInt32> = []
  private var firstRow = 0

  /// None.
  package init() {}

  /// The number of a duration's cell. Row 0 ends at 127, row `n` at 2^(7 + n) - 1.
  @inline(__always)
  private static func index(of duration: UInt64) -> Int {
    let shift = 56 - (duration | 255).leadingZeroBitCount
    return shift * cellsPerRow + Int(truncatingIfNeeded: duration >> UInt64(shift))
  }

  /// The longest duration of a cell.
  private static func last(of index: Int) -> UInt64 {
    let shift = max(index / cellsPerRow - 1, 0)
    let first = UInt64(index - shift * cellsPerRow) << UInt64(shift)
    return first + ((1 << UInt64(shift)) - 1)
  }

  /// One more duration.
  @inline(__always)
  package mutating func add(_ duration: UInt64) {
    let index = Self.index(of: duration)
    var position = index - firstRow * Self.cellsPerRow
    if !cells.indices.contains(position) {
      widen(toRow: index / Self.cellsPerRow)
      position = index - firstRow * Self.cellsPerRow
    }
    Self.increase(&cells[position], by: 1)
  }

  /// A cell that is full stays so.
  @inline(__always)
  private static func increase(_ cell: inout UInt32, by more: UInt32) {
    let (sum, overflows) = cell.addingReportingOverflow(more)
    cell = overflows ? .max : sum
  }

  /// The durations of another set, too.
  package mutating func merge(_ other: DurationCounts) {
    guard !other.cells.isEmpty else { return }
    widen(toRow: other.firstRow)
    widen(toRow: other.firstRow + other.cells.count / Self.cellsPerRow - 1)
    let offset = (other.firstRow - firstRow) * Self.cellsPerRow
    for (position, count) in other.cells.enumerated() { Self.increase(&cells[offset + position], by: count) }
  }

  /// Makes cells for a row, and for those between it and the ones that there are.
  private mutating func widen(toRow row: Int) {
    if cells.isEmpty { firstRow = row }
    if row < firstRow {
      cells.insert(contentsOf: repeatElement(0, count: (firstRow - row) * Self.cellsPerRow), at: 0)
      firstRow = row
    }
    let missing = (row + 1 - firstRow) * Self.cellsPerRow - cells.count
    if missing > 0 { cells.append(contentsOf: repeatElement(0, count: missing)) }
  }

  /// The durations that shares of all do not exceed, to two significant digits: for each rank, which counts from 1 and
  /// rises, the longest duration of its cell.
  package func durations(atRanks ranks: [UInt64]) -> [UInt64] {
    var found: [UInt64] = []
    var sum: UInt64 = 0
    for (position, count) in cells.enumerated() where count > 0 {
      sum += UInt64(count)
      while found.count < ranks.count, ranks[found.count] <= sum {
        found.append(Self.last(of: firstRow * Self.cellsPerRow + position))
      }
    }
    // Cells that are full count less than there are.
    return found + repeatElement(.max, count: ranks.count - found.count)
  }
}
