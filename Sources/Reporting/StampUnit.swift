internal import KVMTrace

/// What the stamps of a trace are.
package enum StampUnit {
  case nanoseconds
  /// Ticks of a clock that counts something else.
  case ticks

  init(_ clock: TraceClock?) { self = clock?.isNanoseconds ?? true ? .nanoseconds : .ticks }

  /// A stamp: "12.000345678 s", "4,711 ticks".
  package func stamp(_ value: UInt64) -> String {
    switch self {
    case .nanoseconds: Quantity.stamp(value)
    case .ticks: duration(value)
    }
  }

  /// A stamp where others stand beside it: "12.000345678", "4711".
  package func moment(_ value: UInt64) -> String {
    switch self {
    case .nanoseconds: Quantity.seconds(value)
    case .ticks: String(value)
    }
  }

  /// A span between two stamps.
  package func duration(_ value: UInt64) -> String {
    switch self {
    case .nanoseconds: Quantity.duration(value)
    case .ticks: "\(Quantity.count(value)) tick\(value == 1 ? "" : "s")"
    }
  }
}
