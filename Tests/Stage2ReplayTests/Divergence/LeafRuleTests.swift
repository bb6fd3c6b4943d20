import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// D2, D4, D7, D14, D16, D17, D21, D22 and D23 on values.
@Suite("Permission and access flag faults against the table")
struct LeafRuleTests {
  private func agreeing(_ kind: FaultKind = .permission) -> LeafCheck {
    LeafCheck(
      kind: kind, walk: .leaf(level: .l3, prot: .read, young: true), level: .l3, blockLevel: .l2,
      isPKVM: true,
      isProtected: false, hasHardwareAccessFlag: false, isInSlot: true, slotHoldsBlock: true,
      isGuestMemfd: false,
      lastRefusal: nil, window: WindowEvidence())
  }

  private func judge(_ kind: FaultKind = .permission, _ change: (inout LeafCheck) -> Void) -> Judgement? {
    var check = agreeing(kind)
    change(&check)
    return check.judgement
  }

  private static func absent(_ check: inout LeafCheck) { check.walk = .invalid(level: .l3) }

  @Test("A leaf of the fault's level agrees")
  func agrees() {
    #expect(agreeing().judgement == nil)
    #expect(judge { $0.level = nil } == nil)
    #expect(
      judge {
        $0.walk = .leaf(level: .l2, prot: .read, young: true)
        $0.level = .l2
      } == nil)
  }

  @Test(
    "D2 and D4: no leaf",
    arguments: [
      (FaultKind.permission, DivergenceRule.permissionNeedsLeaf), (.accessFlag, .accessFlagNeedsLeaf),
    ])
  func absence(kind: FaultKind, rule: DivergenceRule) {
    #expect(judge(kind, Self.absent) == .unexplained(rule))
    func window(_ change: @escaping (inout WindowEvidence) -> Void) -> Judgement? {
      judge(kind) {
        Self.absent(&$0)
        change(&$0.window)
      }
    }
    #expect(window { $0.unmapOfRegion = .ended } == .explained(rule, .race))
    #expect(window { $0.unmapOfRegion = .underway } == .explained(rule, .pendingNotifier))
    #expect(window { $0.isResized = true } == .explained(rule, .breakBeforeMake))
    #expect(window { $0.peers = .onPage } == .explained(rule, .race))
    #expect(window { $0.peers = [.inRegion, .inVM] } == .unexplained(rule))
    #expect(window { $0.unmapOfVM = .ended } == .unexplained(rule))
    #expect(window { $0.knowledge = .assumed } == .unknown(rule))
    #expect(window { $0.knowledge = .unknown(.begunMidLife) } == .unknown(rule, .begunMidLife))
  }

  @Test("D2: a leaf of another level")
  func size() {
    let rule = DivergenceRule.permissionNeedsLeaf
    #expect(judge { $0.level = .l2 } == .unexplained(rule))
    #expect(judge { $0.walk = .leaf(level: .l2, prot: .read, young: true) } == .unexplained(rule))
    #expect(
      judge {
        $0.level = .l2
        $0.window.isResized = true
      } == .explained(rule, .breakBeforeMake))
    // A block of level 1 of hugetlb, on the traditional path.
    for (level, judgement) in [(TranslationLevel.l1, nil), (.l2, Judgement.unexplained(rule))] {
      let found = judge {
        $0.level = .l1
        $0.blockLevel = .l1
        $0.walk = .leaf(level: level, prot: .read, young: true)
      }
      #expect(found == judgement)
    }
  }

  @Test("D4: a CPU that sets the flag itself takes no such fault")
  func hardwareAccessFlag() {
    #expect(
      judge(.accessFlag) { $0.hasHardwareAccessFlag = true }
        == .explained(.accessFlagNeedsLeaf, .hardwareAccessFlag))
    #expect(judge(.permission) { $0.hasHardwareAccessFlag = true } == nil)
  }

  @Test("D7: a leaf outside all slots")
  func slot() {
    #expect(judge { $0.isInSlot = false } == .unexplained(.leafLiesInSlot))
    #expect(
      judge {
        $0.isInSlot = false
        $0.window.unmapOfRegion = .ended
      } == .explained(.leafLiesInSlot, .race))
    #expect(
      judge {
        $0.isInSlot = false
        $0.isPKVM = false
      } == .explained(.leafLiesInSlot, .untracedChange))
    #expect(judge { $0.isInSlot = nil } == nil)
  }

  @Test("D16, D22 and D23: a block that the slot or the path cannot have")
  func blocks() {
    func block(_ change: @escaping (inout LeafCheck) -> Void) -> Judgement? {
      judge {
        $0.walk = .leaf(level: .l2, prot: .read, young: true)
        $0.level = .l2
        change(&$0)
      }
    }
    #expect(block { $0.slotHoldsBlock = false } == .unexplained(.blockNeedsSlot))
    #expect(
      block {
        $0.slotHoldsBlock = false
        $0.window.unmapOfRegion = .ended
      } == .explained(.blockNeedsSlot, .race))
    #expect(block { $0.isGuestMemfd = true } == .unexplained(.guestMemfdMapsPages))
    #expect(block { $0.blockLevel = .l3 } == .unexplained(.blockHasPossibleSize))
    #expect(block { $0.level = .l1 } == .unexplained(.blockHasPossibleSize))
  }

  @Test("D17 and D21: a leaf that a fault left behind though it came to nothing")
  func refusals() {
    func refused(_ refusal: LeafCheck.Refusal) -> Judgement? {
      judge {
        Self.absent(&$0)
        $0.lastRefusal = refusal
      }
    }
    #expect(refused(.ownUnmap) == .unexplained(.ownUnmapStopsFault))
    #expect(refused(.failure) == .unexplained(.failureLeavesTable))
    // Where a leaf is, somebody else mapped it.
    #expect(judge { $0.lastRefusal = .ownUnmap } == nil)
  }

  @Test("D14: a protected guest takes translation faults alone")
  func protected() {
    #expect(judge { $0.isProtected = true } == .unexplained(.protectedMappingStays))
    #expect(
      judge(.accessFlag) {
        Self.absent(&$0)
        $0.isProtected = true
      } == .unexplained(.protectedMappingStays))
  }
}
