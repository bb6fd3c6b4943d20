internal import KVMTypes
internal import Stage2Model

/// D1, D14 and D15: a translation fault against the walk of its address.
struct TranslationCheck: Hashable {
  /// What the model has.
  var walk: Stage2Walk
  /// Where the fault says that the walk stopped; nil for a walk of the guest's own table, whose level emulators get
  /// wrong.
  var level: TranslationLevel?
  /// The level of the tables that the walk begins with. On the traditional path it is a property of the VM, and known
  /// from its faults.
  var startLevel: TranslationLevel
  /// The VM is protected.
  var isProtected: Bool
  /// Where the walk may go on beyond what the model knows: tables that hold something that no fault mapped, as the
  /// kernel's own mapping of the vGIC's CPU interface.
  var mayHaveUntracedTable: Bool
  var window: WindowEvidence
  /// KVM_RUN failed because of the fault.
  var hasFailed = false

  /// Whether what the model has was installed after the vCPU's entry, so that the walk may have come before and says nothing of it.
  var mayPrecedeTable: Bool {
    if case .leaf = walk { return window.isLeafRecent }
    return window.isTableRecent
  }

  /// The broken rule, nil where the fault and the model agree.
  var judgement: Judgement? {
    switch walk {
    case .leaf: judgeLeaf()
    case .invalid(let modelled):
      level.flatMap { level in
        let modelled = max(modelled, startLevel)
        if level < modelled { return judgeMissingTable() }
        return level > modelled ? judgeUnexpectedTable(level) : nil
      }
    }
  }

  /// A leaf is there.
  private func judgeLeaf() -> Judgement {
    let rule = isProtected ? DivergenceRule.protectedMappingStays : .translationStopsAtInvalidEntry
    if let unknown = window.judgeUnknown(rule) { return unknown }
    if window.isLeafRecent { return .explained(rule, .race) }
    // pkvm_force_reclaim_guest_page poisons a page that the host touches. The guest cannot have it back.
    if isProtected, hasFailed { return .explained(rule, .untracedChange) }
    // An unmap does nothing to a protected guest, and it has no blocks.
    if !isProtected, let change = window.change { return .explained(rule, change) }
    if !isProtected, window.isRetry { return .explained(rule, .race) }
    return window.judge(rule)
  }

  /// The walk stopped above a table that the model has.
  private func judgeMissingTable() -> Judgement {
    let rule = DivergenceRule.translationStopsAtInvalidEntry
    if let unknown = window.judgeUnknown(rule) { return unknown }
    if window.isTableRecent { return .explained(rule, .race) }
    if let change = window.change { return .explained(rule, change) }
    // A table above level 3 goes with the last leaf of any of its regions.
    if let level, level < .l2, let exception = window.unmapOfVM.exception {
      return .explained(rule, exception)
    }
    return window.judge(rule)
  }

  /// The walk went on into a table that the model does not have.
  private func judgeUnexpectedTable(_ level: TranslationLevel) -> Judgement {
    let rule = DivergenceRule.tableNeedsMapping
    if let unknown = window.judgeUnknown(rule) { return unknown }
    if window.peers.contains(level == .l3 ? .inRegion : .inVM) { return .explained(rule, .race) }
    if let change = window.change { return .explained(rule, change) }
    // Tables above level 3 hold other regions as well.
    if level < .l3, let exception = window.unmapOfVM.exception { return .explained(rule, exception) }
    if mayHaveUntracedTable { return .explained(rule, .untracedChange) }
    return window.judge(rule)
  }
}
