/// Numbers as a person reads them.
package enum Quantity {
  /// 1234567 as "1,234,567".
  package static func count(_ value: UInt64) -> String {
    let digits = Array(String(value))
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return text
  }

  /// 1234567 as "1,234,567".
  package static func count(_ value: Int) -> String {
    value < 0 ? "-" + count(UInt64(value.magnitude)) : count(UInt64(value))
  }

  /// So many things: "1 page", "1,234 pages".
  package static func count(_ value: UInt64, _ thing: String) -> String {
    "\(count(value)) \(thing)\(value == 1 ? "" : "s")"
  }

  /// So many things: "1 page", "1,234 pages".
  package static func count(_ value: Int, _ thing: String) -> String {
    "\(count(value)) \(thing)\(value == 1 ? "" : "s")"
  }

  /// Bytes in the largest binary unit that leaves one digit or more before the point.
  package static func bytes(_ value: UInt64) -> String {
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
  package static func duration(_ nanoseconds: UInt64) -> String {
    switch nanoseconds {
    case ..<1000: "\(nanoseconds) ns"
    case ..<1_000_000: "\(decimal(nanoseconds, by: 1000, digits: 1)) us"
    case ..<1_000_000_000: "\(decimal(nanoseconds, by: 1_000_000, digits: 1)) ms"
    default: "\(decimal(nanoseconds, by: 1_000_000_000, digits: 2)) s"
    }
  }

  /// A unit of time in the largest one that it is a whole number of: "1 us", "10 ms".
  package static func unit(_ nanoseconds: UInt64) -> String {
    let units: [(name: String, nanoseconds: UInt64)] = [
      ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000),
    ]
    let unit = units.first { nanoseconds % $0.nanoseconds == 0 } ?? ("ns", 1)
    return "\(nanoseconds / unit.nanoseconds) \(unit.name)"
  }

  /// A stamp of the trace's clock in seconds, to the nanosecond.
  package static func stamp(_ nanoseconds: UInt64) -> String { "\(seconds(nanoseconds)) s" }

  /// "12.000345678", as trace-cmd prints time.
  package static func seconds(_ nanoseconds: UInt64) -> String {
    let fraction = String(nanoseconds % 1_000_000_000)
    return "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 9 - fraction.count) + fraction
  }

  /// `part` of `whole` in percent, "-" where there is no whole. Only nothing is 0 % and only all is 100 %: what is
  /// neither has as many digits as it takes to see that.
  package static func percent(_ part: UInt64, of whole: UInt64) -> String {
    guard whole > 0 else { return "-" }
    return distinct(isNone: part == 0, isAll: part == whole) { digits in
      decimal(part &* 100, by: whole, digits: digits)
    }
  }

  /// A share in percent, as `percent`.
  package static func share(_ share: Double) -> String {
    let percent = min(share.magnitude * 100, 1e15)
    return distinct(isNone: percent == 0, isAll: share.magnitude == 1) { digits in
      var scale: UInt64 = 1
      for _ in 0..<digits { scale *= 10 }
      return decimal(UInt64((percent * Double(scale)).rounded()), by: scale, digits: digits)
    }
  }

  /// The most digits behind the point of a percentage.
  private static let percentDigitsMax = 15

  /// The percentage with one digit behind the point, or more where it would pass for 0 or 100 and is not.
  private static func distinct(isNone: Bool, isAll: Bool, _ text: (_ digits: Int) -> String) -> String {
    var digits = 1
    var best = text(digits)
    while digits < percentDigitsMax {
      let zeros = String(repeating: "0", count: digits)
      guard best == "0." + zeros && !isNone || best == "100." + zeros && !isAll else { break }
      digits += 1
      best = text(digits)
    }
    return best + " %"
  }

  /// A difference of two shares, in percentage points.
  package static func points(_ share: Double) -> String {
    String(Self.share(share).dropLast()) + "pp"
  }

  /// A number with `digits` digits behind the point.
  package static func fixed(_ value: Double, digits: Int) -> String {
    let scale = (0..<digits).reduce(UInt64(1)) { power, _ in power * 10 }
    return decimal(UInt64(min((value * Double(scale)).rounded(), 1e18)), by: scale, digits: digits)
  }

  /// A change in percent, with its sign; "-" where it is not known.
  package static func signedPercent(_ change: Double?) -> String {
    guard let change, change.isFinite else { return "-" }
    return (change < 0 ? "-" : "+") + share(change)
  }

  /// `value / divisor` with `digits` digits behind the point, rounded half up.
  package static func decimal(_ value: UInt64, by divisor: UInt64, digits: Int) -> String {
    let scale = (0..<digits).reduce(UInt64(1)) { power, _ in power * 10 }
    let (high, low) = value.multipliedFullWidth(by: scale)
    let (sum, overflow) = low.addingReportingOverflow(divisor / 2)
    let scaled = divisor.dividingFullWidth((high + (overflow ? 1 : 0), sum)).quotient
    let fraction = String(scaled % scale)
    return count(scaled / scale) + "." + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}
