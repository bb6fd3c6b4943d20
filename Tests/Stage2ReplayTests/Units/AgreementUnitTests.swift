import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// What was predicted, held against what probes recorded, on stories whose kernel errs on purpose.
@Suite("Agreement with recorded operations")
struct AgreementUnitTests {
  /// Three faults of a vCPU, each with what the probe recorded inside its window.
  static func replay(_ record: (Scenario, Int, UInt64) -> Void) throws -> AgreementResult {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    for number in 0..<3 {
      let ipa = story.memory + UInt64(number) * story.page
      story.fault(.vcpu0, ipa)
      record(story, number, ipa)
      story.enter(.vcpu0)
    }
    return try #require(try story.replay().result.agreement)
  }

  static func expect(
    _ result: AgreementResult, recorded: Int, predicted: Int, matched: Int, derivedWrong: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let score = try #require(result.scores[.map], sourceLocation: sourceLocation)
    #expect(score.recorded == recorded, sourceLocation: sourceLocation)
    #expect(score.predicted == predicted, sourceLocation: sourceLocation)
    #expect(score.matched == matched, sourceLocation: sourceLocation)
    #expect(score.derivedWrong == derivedWrong, sourceLocation: sourceLocation)
  }

  @Test("When operations are compared does not depend on the number of threads")
  func rounds() {
    typealias Driven = Replayer<TraditionalStage2>
    for jobs in [2, 3, 16] {
      #expect(
        Driven.stepsMax(jobs: jobs, comparesOperations: true)
          == Driven.stepsMax(jobs: 1, comparesOperations: true))
    }
  }

  @Test("Equal operations match, rights and all")
  func equal() throws {
    let result = try Self.replay { story, _, ipa in story.recordMap(.vcpu0, ipa) }
    try Self.expect(result, recorded: 3, predicted: 3, matched: 3, derivedWrong: 0)
    #expect(result.mismatchCount == 0)
    #expect(result.scores[.map]?.protMatched == 3)
  }

  @Test("A call whose return was not seen agrees: its answer is not told")
  func untoldReturn() throws {
    let result = try Self.replay { story, number, ipa in
      if number == 2 { _ = story.beginMap(.vcpu0, ipa) } else { story.recordMap(.vcpu0, ipa) }
    }
    try Self.expect(result, recorded: 3, predicted: 3, matched: 3, derivedWrong: 0)
    #expect(result.mismatchCount == 0)
  }

  @Test("Rights that differ are counted apart")
  func rights() throws {
    let result = try Self.replay { story, number, ipa in
      story.recordMap(.vcpu0, ipa, prot: number == 1 ? 8 : 0xc)
    }
    try Self.expect(result, recorded: 3, predicted: 3, matched: 3, derivedWrong: 0)
    #expect(result.scores[.map]?.protCompared == 3)
    #expect(result.scores[.map]?.protMatched == 2)
  }

  @Test("A wrong result, size or address is one mismatch, with both sides")
  func different() throws {
    let changes: [(Scenario, UInt64) -> Void] = [
      { $0.recordMap(.vcpu0, $1, result: -11) }, { $0.recordMap(.vcpu0, $1, bytes: 0x200000) },
      { $0.recordMap(.vcpu0, $1 + 0x1000) },
    ]
    for change in changes {
      let result = try Self.replay { story, number, ipa in
        if number == 1 { change(story, ipa) } else { story.recordMap(.vcpu0, ipa) }
      }
      try Self.expect(result, recorded: 3, predicted: 3, matched: 2, derivedWrong: 1)
      #expect(result.mismatchCount == 1)
      let mismatch = try #require(result.mismatches.first)
      #expect(mismatch.predicted?.address == IPA(0x4000_1000))
      #expect(mismatch.recorded != nil)
    }
  }

  @Test("An operation that was recorded only, or predicted only, is one mismatch of one side")
  func missing() throws {
    let missing = try Self.replay { story, number, ipa in
      if number != 1 { story.recordMap(.vcpu0, ipa) }
    }
    try Self.expect(missing, recorded: 2, predicted: 3, matched: 2, derivedWrong: 1)
    #expect(missing.mismatches.map { $0.recorded == nil } == [true])

    let extra = try Self.replay { story, _, ipa in
      story.recordMap(.vcpu0, ipa)
      story.recordMap(.vcpu0, ipa, result: -11)
    }
    try Self.expect(extra, recorded: 6, predicted: 3, matched: 3, derivedWrong: 0)
    #expect(extra.mismatches.map { $0.predicted == nil } == [true, true, true])
  }

  @Test("An operation of another window does not match")
  func order() throws {
    let result = try Self.replay { story, number, _ in
      story.recordMap(.vcpu0, story.memory + UInt64([1, 0, 2][number]) * story.page)
    }
    try Self.expect(result, recorded: 3, predicted: 3, matched: 1, derivedWrong: 2)
  }

  @Test("Operations of a thread that nothing was predicted for are mismatches, in the order of time")
  func strangers() throws {
    let result = try Self.replay { story, _, ipa in
      story.recordUnmap(.kswapd, ipa)
      story.recordMap(.vcpu0, ipa)
    }
    #expect(result.scores[.unmap]?.recorded == 3)
    #expect(result.scores[.unmap]?.matched == 0)
    #expect(result.mismatchCount == 3)
    #expect(
      result.mismatches.compactMap(\.recorded?.address.rawValue) == [0x4000_0000, 0x4000_1000, 0x4000_2000])
  }

  @Test("test_clear_young matches by its range; its answer is counted apart")
  func answers() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    for answer in [Int64(0), 1] {
      story.age(.kswapd, story.crookedHVA)
      story.recordTestClearYoung(.kswapd, story.memory, answer: answer)
      story.testAge(.kswapd, story.crookedHVA + 1)
      story.recordTestClearYoung(.kswapd, story.memory, answer: 0)
    }
    let score = try #require(try story.replay().result.agreement?.scores[.testClearYoung])
    #expect(score.recorded == 4)
    #expect(score.matched == 4)
    #expect(score.answerMatched == 3)
  }

  @Test("Without probes in the trace, or without looking at them, there is no agreement")
  func inactive() throws {
    let story = Scenario()
    story.createSlot()
    #expect(try story.replay().result.agreement == nil)
    story.recordUnmap(.kswapd, story.memory)
    story.options.ignoresProbes = true
    #expect(try story.replay().result.agreement == nil)
  }

  // MARK: What cannot be scored

  /// A VM whose fault maps a page and whose notifier unmaps it, as a recorder without some kinds of event has it.
  private static func pageThatGoes(
    without missing: [TraceSynth.EventFormat], recordsMap: Bool = true, recordsUnmap: Bool = true
  ) throws -> AgreementResult? {
    let names = missing.map(\.name)
    let story = Scenario(formats: KVMEventFormats.all.filter { !names.contains($0.name) })
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    if recordsMap { story.recordMap(.vcpu0, story.memory) }
    story.enter(.vcpu0)
    if !names.contains(KVMEventFormats.unmapHVARange.name) { story.unmap(.kswapd, story.crookedHVA) }
    if recordsUnmap { story.recordUnmap(.kswapd, story.memory) }
    return try story.replay().result.agreement
  }

  @Test("A function that no probe tells of is not scored: what is predicted of it is not wrong")
  func unrecorded() throws {
    let formats = [StageTwoProbeFormats.map, StageTwoProbeFormats.mapReturn]
    let result = try #require(try Self.pageThatGoes(without: formats, recordsMap: false))
    let map = try #require(result.scores[.map])
    #expect(!map.isRecorded && map.isTold && !map.isScored)
    #expect(map.predicted == 1 && map.derivedWrong == 0)
    #expect(result.scores[.unmap].map { $0.isScored && $0.matched == 1 } == true)
    #expect(result.mismatchCount == 0 && result.mismatches.isEmpty)
  }

  @Test("A function with a probe that told of no call is scored: what is predicted of it is wrong")
  func uncalled() throws {
    let result = try #require(try Self.pageThatGoes(without: [], recordsMap: false))
    #expect(result.scores[.map].map { $0.isScored && $0.derivedWrong == 1 } == true)
    #expect(result.mismatchCount == 1)
  }

  @Test("A function whose cause was not recorded is not scored: that none was predicted is no mismatch")
  func untold() throws {
    let result = try #require(try Self.pageThatGoes(without: [KVMEventFormats.unmapHVARange]))
    let unmap = try #require(result.scores[.unmap])
    #expect(unmap.isRecorded && !unmap.isTold && unmap.recorded == 1)
    #expect(result.scores[.map]?.isScored == true)
    #expect(result.mismatchCount == 0 && result.mismatches.isEmpty)
  }

  @Test("Where no VM is known, nothing is scored")
  func withoutVM() throws {
    let story = Scenario()
    story.recordUnmap(.kswapd, story.memory)
    let agreement = try #require(try story.replay().result.agreement)
    #expect(agreement.scores[.unmap].map { !$0.isTold && $0.recorded == 1 } == true)
    #expect(agreement.mismatches.isEmpty)
  }

  // MARK: Memory

  @Test("However many operations of one kind differ, those of another are shown")
  func boundedByKind() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    for _ in 0..<Agreement.mismatchesMax + 1 { story.recordUnmap(.kswapd, story.memory) }
    story.recordTestClearYoung(.kswapd, story.memory, answer: 0)
    let mismatches = try #require(try story.replay().result.agreement?.mismatches)
    #expect(mismatches.count { $0.recorded?.kind == .unmap } == Agreement.mismatchesMax)
    #expect(mismatches.count { $0.recorded?.kind == .testClearYoung } == 1)
  }

  @Test("A hundred thousand operations without any prediction are all counted, and a thousand shown")
  func bounded() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    for _ in 0..<100_000 { story.recordUnmap(.kswapd, story.memory) }
    story.handle(.vcpu0, story.memory)
    let agreement = try #require(try story.replay().result.agreement)
    #expect(agreement.scores[.unmap]?.recorded == 100_000)
    #expect(agreement.mismatchCount == 100_001)
    #expect(agreement.mismatches.count == Agreement.mismatchesMax + 1)
  }
}
