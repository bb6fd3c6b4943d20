import Foundation

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
