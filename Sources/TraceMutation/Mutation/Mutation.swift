/// The ways in which a recording is changed.
package enum MutationKind: String, CaseIterable, Sendable {
  case dropFaultEvent, dropFaultWindow, changeLevel, shiftPage, shiftBlock, forgePermissionWithRight
  case forgePermissionUnmapped, forgeTranslation, swapThreadEvents, swapFaults, dropAge, dropUnmap
  case dropAccessFaultEvent, duplicateEvent
}

/// A changed recording, and the execution of the host that would have left it.
package struct Mutation {
  package var kind: MutationKind
  package var edit: TraceEdit
  /// What was changed, in words.
  package var summary: String
  package var witness: Witness
}

/// Whether a kernel can leave a changed recording.
///
/// A recording's execution is known from its probes: every change of a table with its place, and every fault. What the
/// mutation makes of it is known, too. So the proof is an execution written out: what KVM would have done instead, in
/// the same order and under the same rules, while everything else stays as it was. It counts only if every fault of
/// the VM then meets a table whose walk ends as the fault says; `ExecutionRepair` says what may be added.
package enum Witness {
  /// KVM emits no such sequence of events, whatever the guest and the host do.
  case none(String)
  /// The order of the events is all that the change concerns, and it is one of KVM's; no table changes.
  case order(String)
  /// What would have happened to the VM.
  case execution(VMExecution)
}
