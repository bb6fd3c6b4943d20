import Foundation

/// SplitMix64: small, seedable, the same on every machine.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// A number below `bound`.
  mutating func below(_ bound: UInt64) -> UInt64 { UInt64.random(in: 0..<bound, using: &self) }

  /// True in `percent` of a hundred cases.
  mutating func chance(_ percent: UInt64) -> Bool { below(100) < percent }
}

/// The seeds of a random test: the fixed ones of the suite, or the single one of `PKVM_REPLAY_SEED`, which
/// replays a failing case:
///
///     PKVM_REPLAY_SEED=1234 swift test --filter Stage2ModelTests
enum RandomSeed {
  static let all: [UInt64] = {
    if let text = ProcessInfo.processInfo.environment["PKVM_REPLAY_SEED"] {
      return [UInt64(text) ?? 0]
    }
    return [1, 2, 3, 4]
  }()
}
