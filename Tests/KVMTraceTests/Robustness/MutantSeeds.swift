import Foundation

/// Which mutants of each file and kind of damage are made. `PKVM_REPLAY_MUTANTS` says how many, for a long run; `PKVM_REPLAY_SEED`
/// makes others. A seed and one mutant repeat a failure.
enum MutantSeeds {
  private static let environment = ProcessInfo.processInfo.environment

  /// So many seeds, unless the environment says otherwise.
  static func first(_ count: UInt64) -> Range<UInt64> {
    let begin = environment["PKVM_REPLAY_SEED"].flatMap { UInt64($0) } ?? 20_240_607
    let wanted = environment["PKVM_REPLAY_MUTANTS"].flatMap { UInt64($0) } ?? count
    return begin..<(begin + wanted)
  }
}
