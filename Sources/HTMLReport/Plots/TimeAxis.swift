internal import Reporting

/// The time of a plot: from left to right, from the beginning of what was replayed to its end.
struct TimeAxis: Sendable {
  /// The first moment.
  var start: UInt64
  /// How long it is, 1 at least.
  var span: UInt64
  /// What moments are.
  var unit: StampUnit

  /// What the axis counts: "time since 15.510842160 s".
  var caption: String

  /// The axis of some time.
  init(_ time: Range<UInt64>, _ unit: StampUnit) {
    start = time.lowerBound
    caption = "time since \(unit.stamp(time.lowerBound))"
    span = max(time.upperBound - time.lowerBound, 1)
    self.unit = unit
  }

  /// Where a moment is: 0 at the left, 1 at the right, and beyond them what is outside.
  func share(_ time: UInt64) -> Double {
    time >= start ? Double(time - start) / Double(span) : -Double(start - time) / Double(span)
  }

  /// About how many marks an axis has.
  private static let ticksMax: UInt64 = 10

  /// The marks: where each is, and what is written there: the time since the beginning, in one unit for all.
  var ticks: [(share: Double, label: String)] {
    var power: UInt64 = 1
    while span / power > Self.ticksMax * 10 { power *= 10 }
    let step = [1, 2, 5, 10].map { $0 * power }.first { span / $0 <= Self.ticksMax } ?? 10 * power
    let units: [(size: UInt64, name: String)] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")]
    // The unit that the last mark is some of.
    let chosen =
      switch unit {
      case .ticks: (size: UInt64(1), name: "")
      case .nanoseconds: units.first { span / step * step >= $0.size } ?? (1, "ns")
      }
    return (0...span / step).map { index in
      (Double(index * step) / Double(span), Self.label(index * step, chosen))
    }
  }

  private static func label(_ value: UInt64, _ unit: (size: UInt64, name: String)) -> String {
    if value == 0 { return "0" }
    var text = String(value / unit.size)
    var rest = value % unit.size
    if rest > 0 {
      text += "."
      var digit = unit.size / 10
      while rest > 0, digit > 0 {
        text += String(rest / digit)
        rest %= digit
        digit /= 10
      }
    }
    return unit.name.isEmpty ? text : "\(text) \(unit.name)"
  }

  /// The share of the width that a stretch takes, nil where it lies outside.
  func extent(_ band: Range<UInt64>) -> (begin: Double, width: Double)? {
    let begin = max(share(band.lowerBound), 0)
    let end = min(share(band.upperBound), 1)
    return end >= begin ? (begin, end - begin) : nil
  }
}
