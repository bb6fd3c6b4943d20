import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

/// The recordings carry the kernel's own operations: what is predicted without them is held against them.
@Suite("Prediction against the kernel's own operations")
struct AgreementTests {
  /// Maps that are predicted wrong, all of them with the basis `assumed`: pairs of vCPUs that raced for one page, of
  /// which one is predicted to succeed and the other to get -EAGAIN where it was the other way round. Neither waited for
  /// a lock or faulted again; in one pair of pkvm-nvhe page-table-thp the one that waited for mmu_lock was overtaken.
  static let undecided = [
    "pkvm-nvhe-7.3.4-page-table-thp.dat": 4, "kvm-vhe-7.3.4-16k-page-table.dat": 2,
    "pkvm-hvhe-7.3.4-16k-dirty-log.dat": 2, "pkvm-hvhe-7.3.4-16k-page-table-thp.dat": 2,
    "kvm-nvhe-7.2.12-16k-memslot-modification.dat": 4,
    // Two vCPUs in step: 49 of its 606 pairs.
    "kvm-vhe-7.3.4-page-table-thp.dat": 98,
    // After dirty logging a write to one of many pages relaxes it or has a block put in their place.
    "pkvm-nvhe-7.3.4-migrate-guest.dat": 1,
  ]

  /// Recordings that do not tell how things began, or in which order they came: tracing began while the VM ran, or the
  /// clock has ticks of 10 ms.
  static func isIncomplete(_ name: String) -> Bool {
    name.contains("joined-") || name.contains("coarse-clock")
  }

  /// Recordings of `tools/vmm`, whose host discards, protects, logs and moves memory by the hundred pages while two vCPUs
  /// run: which of them lost a race, and whether a right was granted before it was taken away, not every event tells.
  static func isContested(_ name: String) -> Bool {
    vmmWorkloads.contains { name.contains($0) }
  }

  private static let vmmWorkloads = [
    "plain-guest", "protected-guest", "mixed-guests", "short-lived-guests", "reset-guest", "joined-guest",
    "twin-guests", "fellow-guests", "forking-guest", "advised-guest", "failing-guest", "saved-guest",
    "throttled-guest", "pressed-guest", "numa-guest", "eager-split-guest", "gigantic-guest", "memfd-guest",
    "coarse-clock",
  ]

  /// How many operations of a kind may be wrong.
  static func slack(_ name: String, _ kind: OperationKind, recorded: Int) -> Int {
    if isIncomplete(name) { return max(2, recorded / 20) }
    if isContested(name), kind != .testClearYoung { return max(2, recorded / 50) }
    switch kind {
    case .map: return undecided[name] ?? 0
    case .relaxPerms: return racingRelaxations[name] ?? 0
    // While a VM is torn down ages go on, without effect from a moment that no event marks.
    case .testClearYoung, .unmap:
      return name == "kvm-vhe-7.3.4-two-guests.dat" ? max(1, recorded / 1000) : recorded / 1000
    default: return 0
    }
  }

  /// Relaxations of one page by two vCPUs under the traditional path's read lock: the loser of the compare-and-swap
  /// gets -EAGAIN, and which one that is, and whether there is one, nothing tells.
  static let racingRelaxations = ["kvm-vhe-7.3.4-16k-page-table.dat": 2]

  /// After dirty logging a write on one of a block's pages maps the block or relaxes the page: which, no event tells.
  static let hasOpenSizes = ["pkvm-nvhe-7.3.4-joined-linux-guest.dat", "pkvm-nvhe-7.3.4-migrate-guest.dat"]

  @Test("Every kind of operation agrees, but for what cannot be decided", arguments: Recordings.names)
  func agreement(name: String) throws {
    let agreement = try #require(try Recordings.replay(name).result.agreement)
    // No probe on it is read, so that nothing is said of how well it is predicted.
    #expect(agreement.scores[.split] == nil)
    for (kind, score) in agreement.scores where kind != .wrprotect {
      let wrong = max(score.recorded, score.predicted) - score.matched
      #expect(wrong <= Self.slack(name, kind, recorded: score.recorded), "\(kind.name): \(score)")
    }
    if Self.isContested(name) || Self.hasOpenSizes.contains(name) { return }
    // -EAGAIN pairs are wrong in the result only: address and size of every map are right.
    for mismatch in agreement.mismatches where mismatch.predicted?.kind == .map {
      guard let predicted = mismatch.predicted, let recorded = mismatch.recorded else { continue }
      #expect(predicted.address == recorded.address && predicted.size == recorded.size)
    }
  }

  @Test("What is called derived is never wrong", arguments: Recordings.names)
  func derived(name: String) throws {
    let agreement = try #require(try Recordings.replay(name).result.agreement)
    for (kind, score) in agreement.scores {
      #expect(score.derivedWrong == 0, "\(kind.name)")
      #expect(score.protDerivedMatched == score.protDerived, "\(kind.name)")
    }
  }

  @Test("The counts of maps and unmaps are those of the probes", arguments: Recordings.names)
  func counts(name: String) throws {
    let (result, statistics) = try Recordings.replay(name)
    for (kind, event) in [
      (OperationKind.map, "map"), (.unmap, "unmap"), (.mkyoung, "mkyoung"), (.relaxPerms, "relax_perms"),
    ] {
      let recorded = Int(statistics.counts.first { $0.name == event }?.count ?? 0)
      let predicted = result.vms.reduce(0) { $0 + ($1.operations[kind]?.count ?? 0) }
      #expect(abs(recorded - predicted) <= Self.slack(name, kind, recorded: recorded), "\(event)")
    }
  }

  @Test("Without a hardware access flag, test_clear_young's answer is known", arguments: Recordings.names)
  func answers(name: String) throws {
    let result = try Recordings.replay(name).result
    guard let score = result.agreement?.scores[.testClearYoung], !result.profile.hasHardwareAccessFlag else {
      return
    }
    let share = Self.isIncomplete(name) ? 10 : 100
    #expect(score.recorded - score.answerMatched <= max(1, score.recorded / share))
  }

  @Test(
    "Probes do not influence what is predicted",
    arguments: ["pkvm-nvhe-7.3.4-page-table-thp.dat", "kvm-nvhe-7.3.4-page-table.dat"])
  func probesAreNotUsed(name: String) throws {
    func operations(ignoringProbes: Bool) throws -> [Stage2Operation] {
      var options = ReplayOptions()
      options.ignoresProbes = ignoringProbes
      var operations: [Stage2Operation] = []
      let result = try Replay.run(Recordings.trace(name), profile: ProfileRequest(), options: options) {
        operations.append($0)
      }.result
      #expect((result.agreement == nil) == ignoringProbes)
      return operations
    }
    let with = try operations(ignoringProbes: false)
    #expect(with == (try operations(ignoringProbes: true)))
    #expect(!with.isEmpty)
  }

  @Test(
    "Operations come in the order of time, each inside the trace",
    arguments: ["pkvm-nvhe-7.3.4-dirty-log-thp.dat"])
  func order(name: String) throws {
    var last = Nanoseconds(0)
    let (_, statistics) = try Replay.run(
      Recordings.trace(name), profile: ProfileRequest(), options: ReplayOptions()
    ) { operation in
      #expect(operation.time >= last)
      last = operation.time
    }
    #expect(last <= (try #require(statistics.last)))
  }

  @Test(
    "A shorter look-ahead costs nothing on these recordings", arguments: ["pkvm-hvhe-7.3.4-guest-damon.dat"])
  func lookAhead(name: String) throws {
    let far = try #require(try Recordings.replay(name).result.agreement?.scores[.map])
    var options = ReplayOptions()
    options.lag = 1024
    let near = try #require(try Recordings.replay(name, options).result.agreement?.scores[.map])
    #expect(near.matched >= far.matched - 2)
  }
}
