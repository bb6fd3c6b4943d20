import Foundation
import KVMTrace
import Testing
import UnnamedFiles

/// Damaged files of all kinds: whatever they hold, the ingester comes back with events, damage or an error.
///
/// Each batch runs in a process of its own, so that a crash is a failure that names the mutant (not with Swift 6.2,
/// see below).
@Suite("Damaged files")
struct MutantTests {
  @Test("mutants", arguments: SmallTrace.allCases, Mutation.allCases)
  func mutants(trace: SmallTrace, mutation: Mutation) async throws {
    let seeds = MutantSeeds.first(60)
    #if compiler(>=6.3)
      try await Self.runInChild(trace, mutation, seeds: seeds)
    #else
      // Swift 6.2 hands a child no values. Here a crash ends the tests, and names no mutant.
      try Mutants.run(trace, mutation, seeds: seeds, journal: "/dev/null")
    #endif
  }

  #if compiler(>=6.3)
    private static func runInChild(
      _ trace: SmallTrace, _ mutation: Mutation, seeds: Range<UInt64>
    ) async throws {
      let journal = try UnnamedFile()
      let first: UInt64 = seeds.lowerBound
      let last: UInt64 = seeds.upperBound
      let path: String = journal.path
      let result = await #expect(processExitsWith: .success) {
        [
          trace = trace as SmallTrace, mutation = mutation as Mutation, first = first as UInt64,
          last = last as UInt64,
          path = path as String
        ] in
        try Mutants.run(trace, mutation, seeds: first..<last, journal: path)
      }
      if result == nil {
        let number = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").first ?? "none"
        Issue.record("\(mutation) of \(trace): PKVM_REPLAY_SEED=\(number) PKVM_REPLAY_MUTANTS=1 repeats it")
      }
    }
  #endif
}
