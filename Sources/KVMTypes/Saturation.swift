/// Sums and products of what a trace or a file states: it may be damaged, and then state anything.
extension UInt64 {
  /// The sum, or the greatest number where that is less.
  @inlinable
  @inline(__always)
  package func addingSaturated(_ other: UInt64) -> UInt64 {
    let (sum, overflows) = addingReportingOverflow(other)
    return overflows ? .max : sum
  }

  /// The product, or the greatest number where that is less.
  @inlinable
  @inline(__always)
  package func multipliedSaturated(by other: UInt64) -> UInt64 {
    let (product, overflows) = multipliedReportingOverflow(by: other)
    return overflows ? .max : product
  }

  /// The nearest whole number; 0 for what is below it or no number, the greatest number for what is above that.
  package init(nearest value: Double) {
    self = value >= 0x1p64 ? .max : value > 0 ? UInt64(value.rounded()) : 0
  }
}
