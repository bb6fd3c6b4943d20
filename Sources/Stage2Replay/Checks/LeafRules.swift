internal import KVMTypes
internal import Stage2Model

/// D2, D4, D7, D14, D16, D17, D21, D22 and D23: a permission or access flag fault against the leaf of its address.
struct LeafCheck: Hashable {
  /// What the last fault on the page came to, where that was nothing.
  enum Refusal: Hashable {
    /// Its thread unmapped the page in it, in a copy-on-write or a migration.
    case ownUnmap
    /// KVM_RUN failed.
    case failure
  }

  var kind: FaultKind
  var walk: Stage2Walk
  /// The level of the leaf, nil for a walk of the guest's own table.
  var level: TranslationLevel?
  /// The highest level at which this path maps anything.
  var blockLevel: TranslationLevel
  var isPKVM: Bool
  var isProtected: Bool
  var hasHardwareAccessFlag: Bool
  /// Whether a slot holds the address; nil where not all slots are known.
  var isInSlot: Bool?
  /// Whether the slot can hold a block there, logging apart, which may have begun after the block was mapped.
  var slotHoldsBlock: Bool
  var isGuestMemfd: Bool
  var lastRefusal: Refusal?
  var window: WindowEvidence

  /// The rule that speaks of the leaf's existence and size.
  private var rule: DivergenceRule {
    if isProtected { return .protectedMappingStays }
    return kind == .permission ? .permissionNeedsLeaf : .accessFlagNeedsLeaf
  }

  /// The broken rule, nil where the fault and the model agree.
  var judgement: Judgement? {
    if let judgement = judgeSize() ?? judgeSlot() { return judgement }
    if kind == .accessFlag, hasHardwareAccessFlag { return .explained(rule, .hardwareAccessFlag) }
    guard case .leaf(let modelled, _, _) = walk else { return judgeAbsence() }
    if isProtected { return window.judge(rule) }
    guard let level, level != modelled else { return nil }
    return judgeDifference(rule)
  }

  private func judgeSize() -> Judgement? {
    guard let level, level < .l3 else { return nil }
    if level < blockLevel { return window.contradiction(of: .blockHasPossibleSize) }
    guard isInSlot == true else { return nil }
    if isGuestMemfd { return window.contradiction(of: .guestMemfdMapsPages) }
    if !slotHoldsBlock { return judge(.blockNeedsSlot) }
    return nil
  }

  private func judgeSlot() -> Judgement? {
    guard isInSlot == false else { return nil }
    // The kernel maps the vGIC's CPU interface itself where no slot may lie.
    return isPKVM ? judge(.leafLiesInSlot) : .explained(.leafLiesInSlot, .untracedChange)
  }

  /// A leaf of a slot that was there until its memory was unmapped.
  private func judge(_ rule: DivergenceRule) -> Judgement {
    window.unmapOfRegion.exception.map { .explained(rule, $0) } ?? window.judge(rule)
  }

  private func judgeAbsence() -> Judgement {
    switch lastRefusal {
    case .ownUnmap: judgeDifference(.ownUnmapStopsFault)
    case .failure: judgeDifference(.failureLeavesTable)
    case nil: judgeDifference(rule)
    }
  }

  private func judgeDifference(_ rule: DivergenceRule) -> Judgement {
    if let unknown = window.judgeUnknown(rule) { return unknown }
    if let change = window.change { return .explained(rule, change) }
    if !window.peers.isDisjoint(with: [.onPage, .mayResize]) { return .explained(rule, .race) }
    return window.judge(rule)
  }
}
