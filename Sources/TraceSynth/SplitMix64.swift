/// Steele, Lea and Flood's generator: a counter and a mixing function. The same numbers for the same seed
/// on every machine, and as good as a workload needs.
struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  @inline(__always)
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// A number below `bound`, which must not be 0. The bias is below 2^-32 for the bounds used here.
  @inline(__always)
  mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// True `times` out of a thousand times.
  @inline(__always)
  mutating func permille(_ times: Int) -> Bool { below(1000) < times }
}
