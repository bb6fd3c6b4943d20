/// Steele, Lea and Flood's generator: a counter and a mixing function. The same numbers for the same seed on
/// every machine.
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
  public mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A number above 0 and at most 1.
  @inlinable
  @inline(__always)
  public mutating func fraction() -> Double { Double((next() >> 11) &+ 1) * 0x1p-53 }
}

/// The natural logarithm of a positive normal number. Written out here, because those of C libraries differ in
/// the last bit and a simulation is to give the same result everywhere.
@inlinable
@inline(__always)
func naturalLogarithm(_ x: Double) -> Double {
  let bits = x.bitPattern
  var exponent = Double(Int(truncatingIfNeeded: bits >> 52) &- 1023)
  var m = Double(bitPattern: bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000)
  if m > 1.414_213_562_373_095_1 {
    m *= 0.5
    exponent += 1
  }
  // ln m = 2 atanh z, with |z| < 0.172: the first term left out is below 1e-15.
  let z = (m - 1) / (m + 1)
  let s = z * z
  var series = 1.0 / 17
  series = series * s + 1.0 / 15
  series = series * s + 1.0 / 13
  series = series * s + 1.0 / 11
  series = series * s + 1.0 / 9
  series = series * s + 1.0 / 7
  series = series * s + 1.0 / 5
  series = series * s + 1.0 / 3
  series = series * s + 1.0
  return exponent * 0.693_147_180_559_945_3 + 2 * z * series
}
