/// A moment of a trace's clock, or a span between two of them, in nanoseconds.
@frozen
public struct Nanoseconds: Hashable, Comparable, Sendable {
  /// The number of nanoseconds.
  public var rawValue: UInt64

  /// `rawValue` nanoseconds.
  @inlinable
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }

  /// By length, or by time.
  @inlinable
  public static func < (a: Nanoseconds, b: Nanoseconds) -> Bool { a.rawValue < b.rawValue }

  /// The moment `b` after `a`, or the sum of two spans; the end of time where that is beyond it, as a damaged stamp may
  /// have it.
  @inlinable
  public static func + (a: Nanoseconds, b: Nanoseconds) -> Nanoseconds {
    Nanoseconds(a.rawValue.addingSaturated(b.rawValue))
  }

  /// The span from `b` to `a`, 0 where `a` lies before `b`: clocks of two CPUs can disagree.
  @inlinable
  public static func - (a: Nanoseconds, b: Nanoseconds) -> Nanoseconds {
    Nanoseconds(a.rawValue > b.rawValue ? a.rawValue - b.rawValue : 0)
  }
}
