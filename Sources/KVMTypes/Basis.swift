/// Where a figure or an operation of a report comes from.
@frozen
public enum Basis: UInt8, Hashable, Comparable, Sendable, CaseIterable {
  /// Read from an event.
  case recorded
  /// Forced by recorded facts: it could not have been otherwise.
  case derived
  /// A choice among several that the trace allows.
  case assumed
  /// Computed from a stated cost model.
  case modelled

  /// From the most to the least certain.
  @inlinable
  public static func < (a: Basis, b: Basis) -> Bool { a.rawValue < b.rawValue }

  /// The word that every output uses.
  public var name: String {
    switch self {
    case .recorded: "recorded"
    case .derived: "derived"
    case .assumed: "assumed"
    case .modelled: "modelled"
    }
  }
}
