internal import KVMTypes

/// What happened in one region page by page, in bounded memory: equal marks of a column become one, and where that is not enough, two
/// columns do.
struct RegionMarks {
  /// So many are kept at first: 48 KiB. More, where those of a single column are more.
  private var marksMax = 4096

  /// Everything that happened, whatever is kept of it.
  private(set) var total = 0
  /// How many times the columns of the marks were doubled.
  private(set) var doublings: Int
  private var marks: [HeatMap.Mark] = []

  /// - Parameter doublings: those of the map's columns so far.
  init(doublings: Int) { self.doublings = doublings }

  /// Something happens to some pages.
  ///
  /// - Parameters:
  ///   - column: the map's column.
  ///   - doublings: how many times the map's columns were doubled, never fewer than before.
  mutating func add(
    _ kind: HeatMap.MarkKind, _ pages: Range<Int>, column: Int, doublings: Int, _ basis: Basis
  ) {
    total += 1
    while self.doublings < doublings { double() }
    let column = UInt16(column >> (self.doublings - doublings))
    if let last = marks.indices.last, marks[last].kind == kind, marks[last].column == column,
      Int(marks[last].page) == pages.lowerBound, Int(marks[last].pages) == pages.count,
      marks[last].basis == basis
    {
      marks[last].count &+= 1
      return
    }
    marks.append(
      HeatMap.Mark(
        column: column, page: UInt16(pages.lowerBound), pages: UInt16(pages.count), kind: kind, basis: basis,
        count: 1))
    if marks.count >= marksMax { shorten() }
  }

  /// The marks by column, page and kind, and how often their columns were doubled.
  mutating func finish(doublings: Int) -> [HeatMap.Mark] {
    while self.doublings < doublings { double() }
    unite()
    return marks
  }

  private mutating func shorten() {
    unite()
    while marks.count > marksMax / 2, marks.last.map({ $0.column > 0 }) ?? false { double() }
    marksMax = max(marksMax, 2 * marks.count)
  }

  private mutating func double() {
    doublings += 1
    for position in marks.indices { marks[position].column >>= 1 }
    unite()
  }

  /// Equal marks become one.
  private mutating func unite() {
    marks.sort { $0.key < $1.key }
    var united: [HeatMap.Mark] = []
    for mark in marks {
      if let last = united.indices.last, united[last].key == mark.key {
        united[last].count &+= mark.count
      } else {
        united.append(mark)
      }
    }
    marks = united
  }
}

extension HeatMap.Mark {
  /// All but the count, in the order of column, page, length, kind and basis.
  fileprivate var key: UInt64 {
    UInt64(column) << 48 | UInt64(page) << 32 | UInt64(pages) << 16 | UInt64(kind.rawValue) << 8
      | UInt64(basis.rawValue)
  }
}
