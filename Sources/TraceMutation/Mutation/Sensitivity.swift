internal import KVMTrace
internal import KVMTypes
package import Stage2Replay

/// What the replay made of a changed recording.
package enum Verdict: String, CaseIterable, Sendable {
  /// It reports an unexplained divergence, which the recording as it was has none of.
  case detected
  /// It reports none, and a kernel can leave the changed recording.
  case invisible
  /// It reports none, though no kernel can leave it as far as is known.
  case missed
  /// It reports one, though a kernel can leave it.
  case alarmed
}

extension MutationSubject {
  /// Whether a kernel can leave the changed recording.
  package func isPossible(_ mutation: Mutation) -> Bool {
    switch mutation.witness {
    case .none: return false
    case .execution(let changes, let faults): return execution.check(changes, faults).isEmpty
    }
  }

  /// What a replay of the changed recording finds.
  package func replay(_ mutation: Mutation) throws -> ReplayResult {
    var options = ReplayOptions()
    options.ignoresProbes = true
    let changed = trace.with(mutation.edit.applied(to: trace.records))
    return try Replay.run(over: changed, profile: ProfileRequest(), options: options).result
  }
}
