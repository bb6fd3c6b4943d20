import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// D1, D14 and D15 on values.
@Suite("Translation faults against the table")
struct TranslationRuleTests {
  private let page = Stage2Walk.leaf(level: .l3, prot: .rw, young: true)

  private func check(
    _ walk: Stage2Walk, _ level: TranslationLevel?, startLevel: TranslationLevel = .l1,
    isProtected: Bool = false, hasFailed: Bool = false,
    mayHaveUntracedTable: Bool = false, _ change: (inout WindowEvidence) -> Void = { _ in }
  ) -> Judgement? {
    var window = WindowEvidence()
    change(&window)
    return TranslationCheck(
      walk: walk, level: level, startLevel: startLevel, isProtected: isProtected,
      mayHaveUntracedTable: mayHaveUntracedTable, window: window, hasFailed: hasFailed
    ).judgement
  }

  @Test("A walk that stops where the fault says agrees; the level of a stage-1 walk is not trusted")
  func agrees() {
    #expect(check(.invalid(level: .l2), .l2) == nil)
    #expect(check(.invalid(level: .l2), nil) == nil)
    // The VM's table begins below the profile's.
    #expect(check(.invalid(level: .l0), .l1, startLevel: .l1) == nil)
  }

  @Test("D1: what accounted for a fault that came to nothing accounts for the same one after it")
  func retry() {
    let rule = DivergenceRule.translationStopsAtInvalidEntry
    #expect(check(page, .l3) == .unexplained(rule))
    #expect(check(page, .l3) { $0.isRetry = true } == .explained(rule, .race))
    #expect(check(page, .l3, isProtected: true) { $0.isRetry = true } == .unexplained(.protectedMappingStays))
  }

  @Test(
    "D1: a table above level 3 may go because of an unmap of other memory of the VM, one of level 3 may not")
  func missingUpperTable() {
    let rule = DivergenceRule.translationStopsAtInvalidEntry
    for (level, modelled) in [(TranslationLevel.l0, TranslationLevel.l1), (.l1, .l2)] {
      let walk = Stage2Walk.invalid(level: modelled)
      #expect(check(walk, level, startLevel: .l0) == .unexplained(rule))
      #expect(check(walk, level, startLevel: .l0) { $0.unmapOfVM = .ended } == .explained(rule, .race))
      #expect(
        check(walk, level, startLevel: .l0) { $0.unmapOfVM = .underway } == .explained(rule, .pendingNotifier)
      )
    }
    #expect(check(.invalid(level: .l3), .l2) { $0.unmapOfVM = .ended } == .unexplained(rule))
  }

  @Test("D14: a protected guest's leaf that is missing is accounted for where KVM_RUN fails")
  func poisoned() {
    let rule = DivergenceRule.protectedMappingStays
    #expect(check(page, .l3, isProtected: true) == .unexplained(rule))
    #expect(check(page, .l3, isProtected: true, hasFailed: true) == .explained(rule, .untracedChange))
  }

  @Test("D1: a leaf where the walk found none")
  func leaf() {
    let rule = DivergenceRule.translationStopsAtInvalidEntry
    #expect(check(page, .l3) == .unexplained(rule))
    #expect(check(page, nil) == .unexplained(rule))
    #expect(check(page, .l3) { $0.isLeafRecent = true } == .explained(rule, .race))
    #expect(check(page, .l3) { $0.unmapOfRegion = .ended } == .explained(rule, .race))
    #expect(check(page, .l3) { $0.unmapOfRegion = .underway } == .explained(rule, .pendingNotifier))
    #expect(check(page, .l3) { $0.isResized = true } == .explained(rule, .breakBeforeMake))
    #expect(check(page, .l3) { $0.isUntraced = true } == .explained(rule, .untracedChange))
    #expect(check(page, .l3) { $0.knowledge = .assumed } == .unknown(rule))
    #expect(check(page, .l3) { $0.knowledge = .unknown(.lostEvents) } == .unknown(rule, .lostEvents))
    // Other memory of the VM, and other vCPUs' faults, do not take a leaf away.
    #expect(check(page, .l3) { $0.unmapOfVM = .ended } == .unexplained(rule))
    #expect(check(page, .l3) { $0.peers = [.onPage, .inRegion, .inVM] } == .unexplained(rule))
    // What is not known is not explained either.
    #expect(
      check(page, .l3) {
        $0.isLeafRecent = true
        $0.knowledge = .unknown(.begunMidLife)
      } == .unknown(rule, .begunMidLife))
  }

  @Test("D1: the walk stopped above a table that is there")
  func missingTable() {
    let rule = DivergenceRule.translationStopsAtInvalidEntry
    #expect(check(.invalid(level: .l3), .l2) == .unexplained(rule))
    #expect(check(.invalid(level: .l2), .l0, startLevel: .l0) == .unexplained(rule))
    #expect(check(.invalid(level: .l3), .l2) { $0.isTableRecent = true } == .explained(rule, .race))
    #expect(check(.invalid(level: .l3), .l2) { $0.unmapOfRegion = .ended } == .explained(rule, .race))
    #expect(check(.invalid(level: .l3), .l2) { $0.isResized = true } == .explained(rule, .breakBeforeMake))
    #expect(check(.invalid(level: .l3), .l2) { $0.unmapOfVM = .ended } == .unexplained(rule))
    #expect(check(.invalid(level: .l3), .l2) { $0.isLeafRecent = true } == .unexplained(rule))
  }

  @Test("D15: the walk went on into a table that is not there")
  func unexpectedTable() {
    let rule = DivergenceRule.tableNeedsMapping
    #expect(check(.invalid(level: .l2), .l3) == .unexplained(rule))
    #expect(check(.invalid(level: .l2), .l3) { $0.peers = [.inVM, .inRegion] } == .explained(rule, .race))
    #expect(check(.invalid(level: .l2), .l3) { $0.peers = [.inVM] } == .unexplained(rule))
    #expect(check(.invalid(level: .l1), .l2) { $0.peers = [.inVM] } == .explained(rule, .race))
    #expect(check(.invalid(level: .l2), .l3) { $0.unmapOfRegion = .ended } == .explained(rule, .race))
    #expect(check(.invalid(level: .l2), .l3) { $0.unmapOfVM = .ended } == .unexplained(rule))
    #expect(
      check(.invalid(level: .l1), .l2) { $0.unmapOfVM = .underway } == .explained(rule, .pendingNotifier))
    #expect(check(.invalid(level: .l1), .l2, mayHaveUntracedTable: true) == .explained(rule, .untracedChange))
    #expect(check(.invalid(level: .l2), .l3) { $0.knowledge = .assumed } == .unknown(rule))
  }

  @Test("D14: a protected guest's page is there for good")
  func protected() {
    #expect(check(page, .l3, isProtected: true) == .unexplained(.protectedMappingStays))
    #expect(
      check(page, .l3, isProtected: true) { $0.unmapOfRegion = .ended }
        == .unexplained(.protectedMappingStays))
    #expect(
      check(page, .l3, isProtected: true) { $0.isLeafRecent = true }
        == .explained(.protectedMappingStays, .race))
  }
}
