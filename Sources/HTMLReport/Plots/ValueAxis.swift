internal import Reporting

/// The values of a plot, from the bottom up.
struct ValueAxis: Sendable {
  /// What is counted.
  enum Unit: String, Sendable {
    /// Things.
    case count
    /// Things in a second.
    case rate
    /// Bytes.
    case bytes
    /// Nanoseconds, on a scale of powers of ten.
    case duration
    /// A share of time.
    case share
  }

  let unit: Unit
  /// The value at the bottom, of a scale of powers its power.
  private let low: Double
  /// The value at the top, likewise.
  let high: Double
  /// The values that are marked.
  private let marks: [Double]

  /// An axis from 0 to `greatest` at least.
  init(_ unit: Unit, upTo greatest: Double) {
    self.unit = unit
    if unit == .duration {
      low = 3
      var power = 4.0
      var value = 10_000.0
      while value < greatest, power < 15 { (power, value) = (power + 1, value * 10) }
      high = power
      marks = stride(from: low, through: high, by: 1).map { $0 }
      return
    }
    let step = Self.step(greatest.isFinite ? max(greatest, 0) : 0, unit)
    let count = max((greatest / step).rounded(.up), 1)
    low = 0
    high = step * min(count, 10)
    marks = (0...Int(min(count, 10))).map { Double($0) * step }
  }

  /// The distance of marks, of which five at most reach that far: 1, 2 or 5 times a power of ten, of bytes a power of two.
  static func step(_ greatest: Double, _ unit: Unit) -> Double {
    let most = 5.0
    if unit == .bytes {
      var step = 1.0
      while greatest / step > most { step *= 2 }
      return step
    }
    var power = unit == .share ? 0.0001 : unit == .rate ? 0.001 : 1
    while true {
      for factor in [1.0, 2, 5] where greatest / (factor * power) <= most { return factor * power }
      power *= 10
    }
  }

  /// How high a value is: 0 at the bottom, 1 at the top.
  func share(_ value: Double) -> Double {
    let place = unit == .duration ? Self.power(value) : value
    return min(max((place - low) / (high - low), 0), 1)
  }

  /// The decimal logarithm, to a thousandth, of what is 1000 or more; that of 1000 for less.
  static func power(_ value: Double) -> Double {
    guard value > 1000 else { return 3 }
    var (power, rest) = (0.0, value)
    while rest >= 10, power < 19 { (power, rest) = (power + 1, rest / 10) }
    // Squared, a number from 1 to 10 has its logarithm doubled: each time that takes it past 10 is a binary digit.
    var digit = 0.5
    while digit > 0.0005 {
      rest *= rest
      if rest >= 10 { (power, rest) = (power + digit, rest / 10) }
      digit /= 2
    }
    return power
  }

  /// The marks: how high each is, and what is written there.
  var ticks: [(share: Double, label: String)] {
    marks.map { mark in
      let value = unit == .duration ? Self.tenTo(Int(mark)) : mark
      return ((mark - low) / (high - low), Self.label(value, unit))
    }
  }

  private static func tenTo(_ power: Int) -> Double { (0..<power).reduce(1) { value, _ in value * 10 } }

  /// A value as the axis writes it: "20k", "1.5 MiB", "10 us".
  static func label(_ value: Double, _ unit: Unit) -> String {
    switch unit {
    case .bytes: return Quantity.bytes(UInt64(min(max(value, 0), 1e18)))
    case .duration:
      return Quantity.unit(UInt64(min(max(value, 0), 1e18)))
    case .share: return decimal(value * 100) + " %"
    case .count, .rate:
      let (scaled, suffix) =
        value >= 1e9
        ? (value / 1e9, "G")
        : value >= 1e6
          ? (value / 1e6, "M")
          : value >= 1e4 ? (value / 1e3, "k") : (value, "")
      return decimal(scaled) + suffix + (unit == .rate ? "/s" : "")
    }
  }

  /// As many digits behind the point, three at most, as there are.
  private static func decimal(_ value: Double) -> String {
    var text = Quantity.fixed(value, digits: 3)
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text
  }
}
