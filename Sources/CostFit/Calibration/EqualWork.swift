internal import Stage2Model

/// The recorded times of calls that cost the same work, in nanoseconds.
///
/// No model that counts work can tell these calls apart, so their mean is the best that such a model can say of
/// them.
struct EqualWork: Sendable {
  /// What the calls have in common.
  struct Key: Hashable, Sendable {
    var operation: Int
    var work: Stage2Work
    var reschedPoints: Int
  }

  /// A count of calls, with the sums of their times and of the squares.
  struct Sums: Sendable {
    var count = 0
    var time = 0.0
    var squares = 0.0

    /// The sum of the squares that are left when each call is expected to take `expected`.
    func residualSquares(_ expected: Double) -> Double {
      max(0, squares - 2 * expected * time + Double(count) * expected * expected)
    }
  }

  let operation: Int
  /// The terms of the calls.
  let row: [Double]
  private var fitted: [Double] = []
  private var checked: [Double] = []
  /// The median of the times to fit to, from `settle` on.
  private(set) var median: Double?

  /// As many calls say by themselves what is usual for their work.
  static let settling = 5

  init(operation: Int, row: [Double]) {
    self.operation = operation
    self.row = row
  }

  mutating func add(_ time: Double, for use: CostCalibration.Use) {
    switch use {
    case .fit: fitted.append(time)
    case .check: checked.append(time)
    }
  }

  /// How many calls there are to fit to.
  var fittedCount: Int { fitted.count }

  /// Leaves the calls out of the fit if they have `term`.
  mutating func leaveOut(_ term: Int) { if row[term] != 0 { fitted = [] } }

  /// Finds the median of the times to fit to.
  mutating func settle() {
    let sorted = fitted.sorted()
    guard !sorted.isEmpty else { return }
    median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }

  /// What a call must exceed to be stalled, where the model expects `expected` of it.
  func stallLimit(_ expected: Double) -> Double {
    CostCalibration.stallFactor * (fitted.count < Self.settling ? expected : max(expected, median ?? 0))
  }

  /// The times that are within `limit`, and those that are not.
  func sums(_ use: CostCalibration.Use, within limit: Double) -> (usual: Sums, stalled: Sums) {
    var sums = (usual: Sums(), stalled: Sums())
    for time in use == .fit ? fitted : checked {
      if time <= limit { sums.usual.add(time) } else { sums.stalled.add(time) }
    }
    return sums
  }
}

extension EqualWork.Sums {
  fileprivate mutating func add(_ value: Double) {
    count += 1
    time += value
    squares += value * value
  }

  static func += (a: inout Self, b: Self) {
    a.count += b.count
    a.time += b.time
    a.squares += b.squares
  }
}
