/// Changes in percent, less at the left and more at the right of nothing. Where they are of very different sizes the axis goes in powers
/// of ten, so that small ones are seen beside large ones.
struct PercentAxis {
  /// Whether it goes in powers of ten from 1 % on.
  let isPowers: Bool
  /// The least and the greatest value, as places are counted.
  private let low: Double
  private let high: Double
  /// The places of marks.
  private let marks: [Double]

  /// Up to three times as much the axis has equal steps.
  private static let linearMost = 2.0

  /// An axis for changes from `least` to `most`, of which 1 is 100 %.
  init(_ least: Double, _ most: Double) {
    let (least, most) = (min(least, 0), max(most, 0))
    let greatest = max(most, -least)
    isPowers = greatest > Self.linearMost
    let step = isPowers ? 1 : ValueAxis.step(greatest, .share)
    let ends = isPowers ? (Self.power(least), Self.power(most)) : (least, most)
    // What is all but a whole number of steps is one.
    let (first, last) = ((ends.0 / step + 1e-9).rounded(.down), (ends.1 / step - 1e-9).rounded(.up))
    low = first * step
    high = max(last, first + 1) * step
    marks = stride(from: first, through: max(last, first + 1), by: 1).map { $0 * step }
  }

  /// 1 % is 1, 10 % is 2, 100 % is 3; what is less than 1 % has its place in between.
  private static func power(_ change: Double) -> Double {
    let size = change.magnitude * 100
    let place = size < 1 ? size : ValueAxis.power(size * 1000) - 2
    return change < 0 ? -place : place
  }

  /// Where a change is: 0 at the left, 1 at the right.
  func share(_ change: Double) -> Double {
    let place = isPowers ? Self.power(change) : change
    return min(max((place - low) / (high - low), 0), 1)
  }

  /// The marks, as a chart has them.
  var axis: BarChart.Axis {
    let zero = marks.firstIndex { abs($0) < 1e-9 } ?? 0
    return BarChart.Axis(
      ticks: marks.enumerated().map { position, mark in
        BarChart.Axis.Tick(
          share: (mark - low) / (high - low), label: label(mark), isOdd: (position - zero) % 2 != 0)
      },
      caption: isPowers ? "difference in percent, in powers of ten from 1 % on" : "difference in percent")
  }

  private func label(_ mark: Double) -> String {
    if abs(mark) < 1e-9 { return "0" }
    let powers = stride(from: 1.0, to: mark.magnitude, by: 1).reduce(0.01) { value, _ in value * 10 }
    let percent = (isPowers ? powers : mark.magnitude) * 100
    return (mark < 0 ? "-" : "+") + ValueAxis.label(percent, .count) + " %"
  }
}
