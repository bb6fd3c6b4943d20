internal import KVMTypes
internal import Stage2Model

/// D3, D6, D10, D11, D12 and D13: a permission or access flag fault against the rights and the access flag of the leaf
/// that is there.
struct RightsCheck: Hashable {
  /// A grant of the right that is missing, by relax_perms.
  struct Grant: Hashable {
    /// It was made in the fault's window.
    var isRecent: Bool
    /// To this very thread.
    var isOwn: Bool
    /// The TLB of the CPU on which the guest ran may hold the leaf as it was before.
    var mayBeStale: Bool
    /// An unmap may have made the fault retry that is taken to have added it.
    var isAssumed: Bool
  }

  var kind: FaultKind
  var isWrite: Bool
  var isExec: Bool
  var prot: Stage2Prot
  var isYoung: Bool
  var hasHardwareAccessFlag: Bool
  var leaf: LeafKnowledge
  /// The last relaxation of the right that the fault needs; nil where the map gave it, or nobody did.
  var grant: Grant?
  /// Dirty pages are logged: the VMM has pages write-protected as it reads the log.
  var isLogging: Bool
  /// A commit may be missing by which they are, since then.
  var mayLackCommit = false
  /// An access flag fault of another vCPU made leaves of the region young in the window.
  var isMadeYoung: Bool
  var window: WindowEvidence

  /// The broken rule about rights, nil where the leaf lacks the right.
  var rights: Judgement? {
    guard kind == .permission else { return nil }
    if isWrite { return prot.contains(.write) ? judgeWrite() : nil }
    if isExec { return prot.isSuperset(of: .execute) ? judge(.grantedRightStays) : nil }
    return judge(.leafIsReadable)
  }

  /// The broken rule about the access flag.
  var accessFlag: Judgement? {
    switch kind {
    case .permission:
      // The access flag is checked before the rights. But nobody flushes the TLBs after an age.
      if isYoung { return nil }
      return .explained(.permissionImpliesAccessFlag, hasHardwareAccessFlag ? .hardwareAccessFlag : .staleTLB)
    case .accessFlag: return isYoung && !hasHardwareAccessFlag ? judgeYoung() : nil
    default: return nil
    }
  }

  private func judgeWrite() -> Judgement {
    let rule: DivergenceRule = grant?.isOwn == true ? .grantedRightStays : .writableLeafStaysWritable
    if let unknown = window.judgeUnknown(rule) { return unknown }
    if leaf.contains(.isReadMapped) { return .explained(rule, .hostReadOnly) }
    let judgement = judge(rule)
    if judgement.verdict == .explained { return judgement }
    if mayLackCommit { return .unknown(rule, .lostEvents) }
    return isLogging || leaf.contains(.mayBeProtected) ? .explained(rule, .untracedChange) : judgement
  }

  private func judge(_ rule: DivergenceRule) -> Judgement {
    if let unknown = window.judgeUnknown(rule) { return unknown }
    if window.isLeafRecent || grant?.isRecent == true { return .explained(rule, .race) }
    if let change = window.change { return .explained(rule, change) }
    if grant?.mayBeStale == true { return .explained(rule, .staleTLB) }
    // It is not there, then.
    if grant?.isAssumed == true { return .explained(rule, .pendingNotifier) }
    return window.judge(rule)
  }

  private func judgeYoung() -> Judgement {
    let rule: DivergenceRule = leaf.contains(.wasMadeYoung) ? .accessFaultNeedsNewAge : .ageNeedsLeaf
    if let unknown = window.judgeUnknown(rule) { return unknown }
    if window.isLeafRecent || isMadeYoung || window.peers.contains(.inRegion) {
      return .explained(rule, .race)
    }
    if let change = window.change { return .explained(rule, change) }
    if leaf.contains(.mayBeOld) { return .explained(rule, .pendingNotifier) }
    return window.judge(rule)
  }
}
