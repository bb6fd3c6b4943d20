/// Measured values in ascending order.
struct Ascending {
  private let values: [Double]

  init(_ values: [Double]) { self.values = values.sorted() }

  /// The value that the given share of all values lies below.
  subscript(share: Double) -> Double { values[Int(Double(values.count - 1) * share + 0.5)] }

  var median: Double { self[0.5] }
}

/// A number with one digit behind the point.
func one(_ value: Double) -> String {
  let tenths = Int(value * 10 + 0.5)
  return "\(tenths / 10).\(tenths % 10)"
}

/// A number with two digits behind the point.
func two(_ value: Double) -> String {
  let hundredths = Int(value * 100 + 0.5)
  let fraction = hundredths % 100
  return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}

/// `value`, at the right of `width` columns.
func padded(_ value: some CustomStringConvertible, _ width: Int) -> String {
  let text = value.description
  return String(repeating: " ", count: max(0, width - text.count)) + text
}

extension String {
  /// The string, at the left of `width` columns.
  func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
