internal import KVMTypes

/// The columns of a heat map: intervals from the first moment on, which double where they would be too many.
struct HeatColumns {
  /// The most columns.
  static let most = 192
  /// The length that they begin with: a microsecond, or so many ticks of a clock that counts those.
  private static let shortest: UInt64 = 1000

  private(set) var start: Nanoseconds?
  /// How many times they were doubled.
  private(set) var doublings = 0
  /// The last column in which anything happened.
  private(set) var last = 0

  /// The length of a column.
  var interval: Nanoseconds {
    Nanoseconds(Self.shortest.multipliedSaturated(by: doublings < 64 ? 1 << UInt64(doublings) : .max))
  }

  /// Whether a moment needs longer columns than there are.
  func isBeyond(_ time: Nanoseconds) -> Bool { position(of: time) >= UInt64(Self.most) }

  /// Two columns become one.
  mutating func double() {
    doublings += 1
    last /= 2
  }

  /// The column of a moment that is not beyond; what comes late, with an earlier moment than the first, counts with the first one.
  mutating func column(of time: Nanoseconds) -> Int {
    if start == nil { start = time }
    let column = Int(position(of: time))
    last = max(last, column)
    return column
  }

  private func position(of time: Nanoseconds) -> UInt64 {
    guard let start, time > start else { return 0 }
    return (time.rawValue - start.rawValue) / interval.rawValue
  }
}
