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
