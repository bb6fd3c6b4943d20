/// Numbers as a person reads them.
enum Quantity {
  /// 1234567 as "1,234,567".
  static func count(_ value: UInt64) -> String {
    let digits = Array(String(value))
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return text
  }

  /// 1234567 as "1,234,567".
  static func count(_ value: Int) -> String {
    value < 0 ? "-" + count(UInt64(value.magnitude)) : count(UInt64(value))
  }

  /// Bytes in the largest binary unit that leaves one digit or more before the point.
  static func bytes(_ value: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    var unit = 0
    var divisor: UInt64 = 1
    while unit < units.count - 1, value / divisor >= 1024 {
      divisor <<= 10
      unit += 1
    }
    if value % divisor == 0 { return "\(count(value / divisor)) \(units[unit])" }
    return "\(decimal(value, by: divisor, digits: 1)) \(units[unit])"
  }

  /// A span in the unit that fits it.
  static func duration(_ nanoseconds: UInt64) -> String {
    switch nanoseconds {
    case ..<1000: "\(nanoseconds) ns"
    case ..<1_000_000: "\(decimal(nanoseconds, by: 1000, digits: 1)) us"
    case ..<1_000_000_000: "\(decimal(nanoseconds, by: 1_000_000, digits: 1)) ms"
    default: "\(decimal(nanoseconds, by: 1_000_000_000, digits: 2)) s"
    }
  }

  /// A stamp of the trace's clock in seconds, to the nanosecond.
  static func stamp(_ nanoseconds: UInt64) -> String {
    let fraction = String(nanoseconds % 1_000_000_000)
    return "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 9 - fraction.count) + fraction
      + " s"
  }

  /// `part` of `whole` in percent, "-" where there is no whole.
  static func percent(_ part: UInt64, of whole: UInt64) -> String {
    whole == 0 ? "-" : "\(decimal(part &* 100, by: whole, digits: 1)) %"
  }

  /// A share in percent.
  static func share(_ share: Double) -> String {
    decimal(UInt64((share.magnitude * 1000).rounded()), by: 10, digits: 1) + " %"
  }

  /// A change in percent, with its sign; "-" where it is not known.
  static func signedPercent(_ change: Double?) -> String {
    guard let change, change.isFinite else { return "-" }
    return (change < 0 ? "-" : "+") + share(change)
  }

  /// `value / divisor` with `digits` digits behind the point, rounded half up.
  static func decimal(_ value: UInt64, by divisor: UInt64, digits: Int) -> String {
    let scale = (0..<digits).reduce(UInt64(1)) { power, _ in power * 10 }
    let (high, low) = value.multipliedFullWidth(by: scale)
    let (sum, overflow) = low.addingReportingOverflow(divisor / 2)
    let scaled = divisor.dividingFullWidth((high + (overflow ? 1 : 0), sum)).quotient
    let fraction = String(scaled % scale)
    return count(scaled / scale) + "." + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}
