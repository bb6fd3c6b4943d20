public import SeededRandom

/// How a length of time varies.
public protocol TimeDistribution {
  /// A length in nanoseconds.
  func sample(_ random: inout SplitMix64) -> UInt64
}

/// Always the same length.
@frozen
public struct ConstantTime: TimeDistribution, Hashable, Sendable {
  /// The length in nanoseconds.
  public let value: UInt64

  /// Always `value` nanoseconds.
  @inlinable
  public init(_ value: UInt64) { self.value = value }

  /// The length.
  @inlinable
  public func sample(_ random: inout SplitMix64) -> UInt64 { value }
}

/// The exponential distribution: without memory.
@frozen
public struct ExponentialTime: TimeDistribution, Hashable, Sendable {
  /// The mean in nanoseconds. It should be well above 1, for samples are rounded.
  public let mean: Double

  /// Mean `mean` nanoseconds, not negative.
  @inlinable
  public init(mean: Double) {
    precondition(mean >= 0 && mean <= 0x1p50, "not a length of time")
    self.mean = mean
  }

  /// By inversion: at most 37 times the mean.
  @inlinable
  public func sample(_ random: inout SplitMix64) -> UInt64 {
    UInt64(0.5 - mean * naturalLogarithm(random.fraction()))
  }
}

/// Lengths that were seen, each as likely as it was frequent.
@frozen
public struct EmpiricalTime: TimeDistribution, Hashable, Sendable {
  /// The lengths in nanoseconds, not empty.
  @usableFromInline let values: [UInt64]

  /// Draws from `values` nanoseconds. Nil if there are none.
  public init?(_ values: [UInt64]) {
    if values.isEmpty { return nil }
    self.values = values
  }

  /// One of the lengths.
  @inlinable
  public func sample(_ random: inout SplitMix64) -> UInt64 { values[random.below(values.count)] }
}
