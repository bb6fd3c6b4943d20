import Foundation
import KVMTypes
import ModelOracle
import Testing

/// Random operations on the traditional backend against `TraditionalOracle`, with every invariant checked
/// after every operation. `tools/soak` runs the same for as long as one likes.
///
///     PKVM_REPLAY_SEED=7 PKVM_REPLAY_STEPS=5000 swift test --filter TraditionalPropertyTests
struct TraditionalPropertyTests {
  static var steps: Int {
    ProcessInfo.processInfo.environment["PKVM_REPLAY_STEPS"].flatMap { Int($0) } ?? 120
  }

  @Test(arguments: RandomSeed.all, TraditionalCase.all)
  func againstTheOracle(seed: UInt64, host: TraditionalCase) throws {
    // A block of 64K pages splits into 8192 leaves, and the oracle is slow.
    let steps = host.pageSize == .size64K ? Self.steps / 4 : Self.steps
    try host.run(seed: seed, steps: steps)
  }
}
