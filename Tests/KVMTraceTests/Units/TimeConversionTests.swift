import KVMTypes
import SeededRandom
import Testing

@testable import KVMTrace

@Suite("TimeConversion")
struct TimeConversionTests {
  @Test("without a scale a stamp is nanoseconds")
  func identity() {
    for stamp in [0, 1, UInt64.max] { #expect(TimeConversion().nanoseconds(stamp).rawValue == stamp) }
    #expect(TimeConversion(offset: -1).nanoseconds(1000).rawValue == 999)
  }

  @Test("the product has 128 bits", arguments: [0, 1, 10, 31, 32, 63] as [UInt32])
  func wide(shift: UInt32) {
    var random = SplitMix64(seed: UInt64(shift))
    for _ in 0..<100 {
      let stamp = random.next()
      let multiplier = UInt32(truncatingIfNeeded: random.next()) | 1
      let product = (UInt128(stamp) * UInt128(multiplier)) >> UInt128(shift)
      let conversion = TimeConversion(multiplier: multiplier, shift: shift, offset: 5)
      #expect(conversion.nanoseconds(stamp).rawValue == UInt64(truncatingIfNeeded: product) &+ 5)
    }
  }
}
