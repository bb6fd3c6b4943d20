/// Numbers as SVG has them.
enum Coordinate {
  /// A coordinate with at most two digits behind the point: "12.5", "-3".
  static func text(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    let hundredths = Int((min(max(value, -1e9), 1e9) * 100).rounded())
    let (whole, rest) = (hundredths.magnitude / 100, hundredths.magnitude % 100)
    let sign = hundredths < 0 ? "-" : ""
    if rest == 0 { return "\(sign)\(whole)" }
    if rest % 10 == 0 { return "\(sign)\(whole).\(rest / 10)" }
    return "\(sign)\(whole).\(rest < 10 ? "0" : "")\(rest)"
  }

  /// A number with four digits behind the point.
  static func significant(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    let scaled = Int((min(max(value, -1e12), 1e12) * 10_000).rounded())
    let fraction = String(scaled.magnitude % 10_000)
    return (scaled < 0 ? "-" : "") + "\(scaled.magnitude / 10_000)."
      + String(repeating: "0", count: 4 - fraction.count) + fraction
  }

  /// A share of the width: "12.5%".
  static func percent(_ share: Double) -> String { text(share * 100) + "%" }
}
