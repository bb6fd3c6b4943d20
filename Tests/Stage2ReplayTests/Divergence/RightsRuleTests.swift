import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// D3, D6, D10, D11, D12 and D13 on values.
@Suite("Rights and the access flag")
struct RightsRuleTests {
  private enum Access { case read, write, exec }

  private func check(
    _ access: Access, _ prot: Stage2Prot, kind: FaultKind = .permission, isYoung: Bool = true,
    _ change: (inout RightsCheck) -> Void = { _ in }
  ) -> RightsCheck {
    var check = RightsCheck(
      kind: kind, isWrite: access == .write, isExec: access == .exec, prot: prot, isYoung: isYoung,
      hasHardwareAccessFlag: false, leaf: [], grant: nil, isLogging: false, isMadeYoung: false,
      window: WindowEvidence())
    change(&check)
    return check
  }

  @Test("A leaf that lacks the right agrees")
  func agrees() {
    #expect(check(.write, .read).rights == nil)
    #expect(check(.exec, .rw).rights == nil)
    #expect(check(.write, .read).accessFlag == nil)
    #expect(check(.read, .read, kind: .accessFlag, isYoung: false).accessFlag == nil)
    #expect(check(.read, .read, kind: .accessFlag, isYoung: false).rights == nil)
  }

  @Test("D11: a leaf that is writable")
  func write() {
    let rule = DivergenceRule.writableLeafStaysWritable
    func judge(_ change: (inout RightsCheck) -> Void = { _ in }) -> Judgement? {
      check(.write, .rw, change).rights
    }
    #expect(judge() == .unexplained(rule))
    #expect(judge { $0.leaf = .isReadMapped } == .explained(rule, .hostReadOnly))
    #expect(judge { $0.leaf = .mayBeProtected } == .explained(rule, .untracedChange))
    #expect(judge { $0.isLogging = true } == .explained(rule, .untracedChange))
    #expect(judge { $0.window.isLeafRecent = true } == .explained(rule, .race))
    #expect(judge { $0.window.unmapOfRegion = .ended } == .explained(rule, .race))
    #expect(judge { $0.window.isResized = true } == .explained(rule, .breakBeforeMake))
    #expect(judge { $0.window.knowledge = .assumed } == .unknown(rule))
    #expect(judge { $0.window.peers = [.inRegion, .inVM] } == .unexplained(rule))
  }

  @Test("D13: a right that relax_perms added")
  func grant() {
    let own = RightsCheck.Grant(isRecent: false, isOwn: true, mayBeStale: false, isAssumed: false)
    let foreign = RightsCheck.Grant(isRecent: false, isOwn: false, mayBeStale: true, isAssumed: false)
    let recent = RightsCheck.Grant(isRecent: true, isOwn: false, mayBeStale: true, isAssumed: false)
    let assumed = RightsCheck.Grant(isRecent: false, isOwn: true, mayBeStale: false, isAssumed: true)
    #expect(check(.exec, .rwx) { $0.grant = own }.rights == .unexplained(.grantedRightStays))
    #expect(check(.write, .rw) { $0.grant = own }.rights == .unexplained(.grantedRightStays))
    #expect(check(.exec, .rwx) { $0.grant = foreign }.rights == .explained(.grantedRightStays, .staleTLB))
    #expect(
      check(.write, .rw) { $0.grant = foreign }.rights == .explained(.writableLeafStaysWritable, .staleTLB))
    #expect(check(.exec, .rwx) { $0.grant = recent }.rights == .explained(.grantedRightStays, .race))
    for (access, prot) in [(Access.exec, Stage2Prot.rwx), (.write, .rw)] {
      #expect(
        check(access, prot) { $0.grant = assumed }.rights
          == .explained(.grantedRightStays, .pendingNotifier))
    }
    #expect(check(.exec, .rwx).rights == .unexplained(.grantedRightStays))
  }

  @Test("D12: a leaf that may be read")
  func read() {
    #expect(check(.read, .read).rights == .unexplained(.leafIsReadable))
    #expect(
      check(.read, .rwx) { $0.window.unmapOfRegion = .underway }.rights
        == .explained(.leafIsReadable, .pendingNotifier))
  }

  @Test("D3: the access flag comes before the rights; a TLB may hold it, or the CPU set it")
  func permissionOfOldLeaf() {
    let rule = DivergenceRule.permissionImpliesAccessFlag
    #expect(check(.write, .read, isYoung: false).accessFlag == .explained(rule, .staleTLB))
    #expect(
      check(.write, .read, isYoung: false) { $0.hasHardwareAccessFlag = true }.accessFlag
        == .explained(rule, .hardwareAccessFlag))
  }

  @Test(
    "D6 and D10: a leaf that is young",
    arguments: [
      (LeafKnowledge.wasMadeYoung, DivergenceRule.accessFaultNeedsNewAge), (LeafKnowledge(), .ageNeedsLeaf),
    ])
  func young(leaf: LeafKnowledge, rule: DivergenceRule) {
    func judge(_ change: (inout RightsCheck) -> Void = { _ in }) -> Judgement? {
      check(.read, .rw, kind: .accessFlag) {
        $0.leaf = leaf
        change(&$0)
      }.accessFlag
    }
    #expect(judge() == .unexplained(rule))
    #expect(judge { $0.isMadeYoung = true } == .explained(rule, .race))
    #expect(judge { $0.window.isLeafRecent = true } == .explained(rule, .race))
    #expect(judge { $0.window.peers = .inRegion } == .explained(rule, .race))
    #expect(judge { $0.window.unmapOfRegion = .underway } == .explained(rule, .pendingNotifier))
    #expect(judge { $0.leaf.insert(.mayBeOld) } == .explained(rule, .pendingNotifier))
    #expect(judge { $0.window.knowledge = .unknown(.lostEvents) } == .unknown(rule, .lostEvents))
    #expect(judge { $0.hasHardwareAccessFlag = true } == nil)
  }
}
