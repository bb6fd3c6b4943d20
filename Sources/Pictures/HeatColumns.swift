internal import KVMTypes
internal import Stage2Replay

/// The columns of a heat map: intervals from the first moment on, which double where they would be too many.
struct HeatColumns {
  /// The most columns.
  static let most = 192

  /// The length that columns begin with.
  let shortest: Nanoseconds
  /// Nil before the first moment.
  private var intervals: EqualIntervals?
  /// The last column in which anything happened.
  private(set) var last = 0

  init(shortest: Nanoseconds) { self.shortest = shortest }

  /// The beginning of the first column.
  var start: Nanoseconds? { intervals?.start }

  /// How many times they were doubled.
  var doublings: Int { intervals?.doublings ?? 0 }

  /// The length of a column.
  var interval: Nanoseconds { intervals?.length ?? shortest }

  /// Whether a moment needs longer columns than there are.
  func isBeyond(_ time: Nanoseconds) -> Bool { (intervals?.position(of: time) ?? 0) >= Self.most }

  /// Two columns become one.
  mutating func double() {
    intervals?.double()
    last /= 2
  }

  /// The column of a moment that is not beyond; what comes late, with an earlier moment than the first, counts with the first one.
  mutating func column(of time: Nanoseconds) -> Int {
    let intervals = intervals ?? EqualIntervals(from: time, length: shortest)
    self.intervals = intervals
    let column = intervals.position(of: time)
    last = max(last, column)
    return column
  }
}
