internal import KVMTrace
internal import KVMTypes
internal import Stage2Replay

/// What the replay made of a changed recording.
package enum Verdict: String, CaseIterable, Sendable {
  /// It reports an unexplained divergence more; a kernel cannot leave such a recording.
  case detected
  /// It reports none, and a kernel can leave the changed recording: there is nothing to see.
  case invisible
  /// It reports none, though no kernel can leave the changed recording, as far as is known.
  case missed
  /// It reports one, though a kernel can leave the changed recording.
  case falseAlarm
}

/// A changed recording and what came of it.
package struct Trial {
  package var mutation: Mutation
  package var verdict: Verdict
  /// The rules that were broken, as "rule verdict exception".
  package var rules: [String]
}

extension MutationSubject {
  /// Changes the recording in one way and replays it; nil where it gives no occasion for a change of this kind.
  package func trial(_ kind: MutationKind, seed: UInt64) throws -> Trial? {
    var mutator = TraceMutator(self, seed: seed)
    guard let mutation = mutator.mutation(kind) else { return nil }
    let divergences = try replay(mutation).divergences
    let verdict: Verdict =
      switch (divergences.unexplained > cleanDivergences, isPossible(mutation)) {
      case (true, false): .detected
      case (true, true): .falseAlarm
      case (false, true): .invisible
      case (false, false): .missed
      }
    let rules = divergences.items.map { "\($0.rule.id) \($0.verdict.name) \($0.exception?.id ?? "")" }
    return Trial(mutation: mutation, verdict: verdict, rules: rules)
  }

  /// Whether a kernel can leave the changed recording.
  func isPossible(_ mutation: Mutation) -> Bool {
    switch mutation.witness {
    case .none: false
    case .order: true
    case .execution(let execution): ExecutionRepair(subject: self).isPossible(execution)
    }
  }

  /// What a replay of the changed recording finds.
  func replay(_ mutation: Mutation) throws -> ReplayResult {
    var options = ReplayOptions()
    options.ignoresProbes = true
    let changed = trace.with(mutation.edit.applied(to: trace.records))
    return try Replay.run(over: changed, profile: ProfileRequest(), options: options).result
  }
}
