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

  @Test(
    "a guest's clock has no offsets further apart than 64 bits hold, and no stamp overflows the line between others"
  )
  func guestClock() throws {
    func clock(_ first: Int64, _ second: Int64) -> GuestClock? {
      GuestClock([.init(time: 0, offset: first), .init(time: 1, offset: second)], interpolates: true)
    }
    #expect(clock(.min, .max) == nil && clock(.min, 0) == nil && clock(.max, -2) == nil)
    for (first, second) in [(.min, -1), (.max, -1), (-1, .min), (0, .max)] as [(Int64, Int64)] {
      let known = try #require(clock(first, second))
      #expect(known.host(0) == UInt64(bitPattern: first))
      #expect(known.host(1) == UInt64(bitPattern: second) &+ 1)
      let steps = UInt64.max &* UInt64(bitPattern: second &- first)
      #expect(known.host(.max) == UInt64.max &+ UInt64(bitPattern: first) &+ steps)
    }
  }
}
