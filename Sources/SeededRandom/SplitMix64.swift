/// Steele, Lea and Flood's generator: a counter and a mixing function. The same numbers for the same seed on
/// every machine, and as good as a workload or a test needs.
@frozen
public struct SplitMix64: RandomNumberGenerator, Sendable {
  @usableFromInline var state: UInt64

  /// The numbers that belong to `seed`.
  @inlinable
  public init(seed: UInt64) { state = seed }

  /// The numbers of one of many streams with the same seed: far apart, unless by a chance of about the
  /// square of the number of streams times their length in 2^64.
  @inlinable
  public init(seed: UInt64, stream: Int) {
    state = seed
    let base = next()
    state = base ^ UInt64(truncatingIfNeeded: stream) &* 0xd1b5_4a32_d192_ed03
    state = next()
  }

  /// The next number.
  @inlinable
  @inline(__always)
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// A number below `bound`, which must not be 0. The bias is below `bound` in 2^64.
  @inlinable
  @inline(__always)
  public mutating func below(_ bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }

  /// A number below `bound`, which must be above 0. The bias is below `bound` in 2^64.
  @inlinable
  @inline(__always)
  public mutating func below(_ bound: Int) -> Int { Int(below(UInt64(bound))) }

  /// A number above 0 and at most 1.
  @inlinable
  @inline(__always)
  public mutating func fraction() -> Double { Double((next() >> 11) &+ 1) * 0x1p-53 }

  /// True `times` out of a hundred times.
  @inlinable
  @inline(__always)
  public mutating func chance(_ times: UInt64) -> Bool { below(100 as UInt64) < times }
}
