import Foundation
import KVMTypes
import ModelOracle
import Testing

/// Random operations on the pKVM backend of every era against `PKVMOracle`: results and counts compared after
/// every operation, everything and all invariants after every sixteenth. `tools/soak` runs the same for as
/// long as one likes.
///
///     PKVM_REPLAY_SEED=7 PKVM_REPLAY_STEPS=5000 swift test --filter PKVMPropertyTests
struct PKVMPropertyTests {
  static var steps: Int {
    ProcessInfo.processInfo.environment["PKVM_REPLAY_STEPS"].flatMap { Int($0) } ?? 300
  }

  @Test(arguments: RandomSeed.all, PKVMCase.all)
  func againstTheOracle(seed: UInt64, host: PKVMCase) throws {
    // A block of 64K pages is 8192 pages, and EL2 looks at each.
    let steps = host.pageSize == .size64K ? Self.steps / 4 : Self.steps
    try host.run(seed: seed, steps: steps, checkEvery: 16)
  }
}
