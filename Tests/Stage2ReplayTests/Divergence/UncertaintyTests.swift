import Foundation
import KVMTrace
import KVMTypes
import SeededRandom
import Stage2Model
import Testing

@testable import Stage2Replay

/// What is not known is not held against a trace.
@Suite("Divergences and what is not known")
struct UncertaintyTests {
  /// A VM that had its slots and its table before the trace began.
  private func midLife() -> Scenario {
    let story = Scenario()
    story.setFlags(0)
    story.enter(.vcpu0)
    return story
  }

  @Test("E7: what was mapped before the trace began is known from the first fault on it")
  func begunMidLife() throws {
    let story = midLife()
    story.handle(.vcpu0, story.memory, .permission, .exec)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.handleAccessFault(.vcpu0, story.memory + 2 * story.page)
    story.handle(.vcpu0, story.memory + 3 * story.page, level: 3)
    try expect(story, ["D2 unknown E7", "D4 unknown E7"])
    // Now the first page is known, and was executable, unless an unmap that began before the trace had made that fault retry.
    story.handle(.vcpu0, story.memory, .permission, .exec)
    try expect(story, ["D13 explained E14", "D2 unknown E7", "D4 unknown E7"])
    story.handle(.vcpu0, story.memory, .permission, .exec)
    try expect(story, ["D13 unexplained", "D13 explained E14", "D2 unknown E7", "D4 unknown E7"])
  }

  @Test("E7: a walk that stops above a region shows that it was empty")
  func revealedEmpty() throws {
    let story = midLife()
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu0, story.memory + story.page, .permission, .exec)
    try expect(story, ["D2 unexplained", "D15 unknown E7"])
    story.handle(.vcpu0, story.memory + story.block, .permission, .exec)
    try expect(story, ["D2 unexplained", "D15 unknown E7", "D2 unknown E7"])
  }

  @Test("E7: an unmap that began before the trace may make faults retry, until one got through")
  func begunInUnmap() throws {
    let story = midLife()
    for _ in 0..<4 { story.handle(.vcpu0, story.memory, level: 3) }
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    let replayed = try story.replay()
    #expect(replayed.result.divergences.unexplained == 0)
    #expect(replayed.nothing == [.faultedAgain: 3])
    for _ in 0..<2 { story.handle(.vcpu0, story.memory + story.page, level: 3) }
    #expect(try story.replay().result.divergences.unexplained == 2)
  }

  @Test("E7: a part of a trace begins mid-life, too")
  func from() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.options.from = Nanoseconds(story.now + 1)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    try expect(story, ["D2 unknown E7"])
  }

  @Test("E6: a VM that appears behind a gap may have been there before it, and a gap is reason enough")
  func appearsBehindGap() throws {
    let story = Scenario()
    story.age(.kswapd, story.crookedHVA)
    story.loseEvents(cpu: Scenario.Thread.kswapd.cpu)
    story.age(.kswapd, story.crookedHVA)
    story.setFlags(0)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    try expect(story, ["D2 unknown E6"])
  }

  @Test("E6: after a gap nothing is known until an event shows it")
  func loss() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.age(.kswapd, story.crookedHVA + 9 * story.page)
    story.loseEvents(cpu: Scenario.Thread.kswapd.cpu)
    story.age(.kswapd, story.crookedHVA + 9 * story.page)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 3)
    story.handle(.vcpu0, story.memory + story.page, .permission, .exec)
    try expect(story, ["D1 unknown E6", "D2 unknown E6"])
    // It gets on, so no unmap that began in the gap makes faults retry any more.
    story.handle(.vcpu0, story.memory + 2 * story.page)
    story.handle(.vcpu0, story.memory + story.page, .permission, .exec)
    story.handle(.vcpu0, story.memory + story.page, .permission, .exec)
    try expect(story, ["D13 unexplained", "D13 explained E14", "D1 unknown E6", "D2 unknown E6"])
  }

  @Test("E6: a gap that began before the fault and ends after it hides what happened between")
  func insideGap() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.age(.kswapd, story.crookedHVA + 9 * story.page)
    for _ in 0..<3 { story.handle(.vcpu0, story.memory, level: 3) }
    story.loseEvents(cpu: Scenario.Thread.kswapd.cpu)
    story.age(.kswapd, story.crookedHVA + 9 * story.page)
    let divergences = try story.replay().result.divergences
    #expect(divergences.unexplained == 0 && divergences.unknown > 0)
  }

  @Test("E4: a CPU that sets access flags takes no such faults, and ages say nothing")
  func hardwareAccessFlag() throws {
    let story = Scenario()
    story.profile.hasHardwareAF = true
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.age(.kswapd, story.crookedHVA)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    story.handleAccessFault(.vcpu0, story.memory)
    try expect(story, ["D3 explained E4", "D4 explained E4"])
  }

  @Test("A map that may have been a block or pages contradicts neither")
  func assumedSize() throws {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.options.lag = 1
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory + story.block, level: 2)
    story.handle(.vcpu0, 0x900_0000, level: 1)
    // Pages, as it turns out too late.
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    let divergences = try story.replay().result.divergences
    #expect(divergences.unexplained == 0 && divergences.unknown == 1)
  }

  @Test("Of a block that was an assumption, pages may be left when a part is unmapped")
  func assumedBlock() throws {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.options.lag = 1
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory + story.block, level: 2)
    story.unmap(.kswapd, story.congruentHVA + 9 * story.page)
    story.age(.kswapd, story.congruentHVA + 9 * story.page)
    story.handle(.vcpu0, 0x900_0000, level: 1)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    let divergences = try story.replay().result.divergences
    #expect(divergences.unexplained == 0 && divergences.unknown > 0)
  }

  // MARK: Gaps and positions

  @Test("Gaps are joined where they overlap, and epochs change at their ends")
  func gaps() {
    var gaps = LossGaps()
    gaps.note(StreamID(CPUIndex(0)), at: Nanoseconds(10))
    gaps.note(StreamID(CPUIndex(1)), at: Nanoseconds(15))
    gaps.lose(StreamID(CPUIndex(0)), until: Nanoseconds(20))
    gaps.lose(StreamID(CPUIndex(1)), until: Nanoseconds(30))
    gaps.note(StreamID(CPUIndex(0)), at: Nanoseconds(40))
    let isMore = gaps.lose(StreamID(CPUIndex(0)), damaged: 1, before: Nanoseconds(50))
    #expect(isMore)
    #expect(gaps.boundaries == [10, 30, 40, .max])
    var log = LossLog(gaps)
    let epochs = ([9, 10, 29, 30, 39, 40, 41] as [UInt64]).map { time in
      log.advance(to: Nanoseconds(time))
      return log.epoch
    }
    #expect(epochs.map(\.rawValue) == [0, 1, 1, 2, 2, 3, 3])
    #expect(log.epoch.isInGap)
    // Events of another CPU may be a little older.
    log.advance(to: Nanoseconds(5))
    #expect(log.epoch == Epoch(3))
  }

  @Test("What one of a CPU's streams lacks begins at its own last event")
  func gapsOfStreams() {
    let (first, second) = (StreamID(CPUIndex(0)), StreamID(CPUIndex(0), lane: 1))
    var gaps = LossGaps()
    for time in UInt64(10)...19 {
      gaps.note(first, at: Nanoseconds(time))
      if time == 12 { gaps.note(second, at: Nanoseconds(time)) }
    }
    gaps.lose(second, until: Nanoseconds(20))
    gaps.note(second, at: Nanoseconds(20))
    gaps.lose(first, until: Nanoseconds(30))
    #expect(gaps.boundaries == [12, 30])
    gaps.note(first, at: Nanoseconds(40))
    let isMore = [1, 1, 2].map { gaps.lose(first, damaged: $0, before: Nanoseconds(50)) }
    #expect(isMore == [true, false, true] && gaps.boundaries == [12, 30, 40, .max])
    #expect(gaps.knows(damage: 2, of: first) && !gaps.knows(damage: 1, of: second))
  }

  @Test("A gap that becomes known late begins where it is, or at once, and joins others that it touches")
  func lateGaps() {
    var log = LossLog(LossGaps())
    func epochs(_ times: [UInt64]) -> [Int32] {
      times.map { time in
        log.advance(to: Nanoseconds(time))
        return log.epoch.rawValue
      }
    }
    #expect(epochs([5, 10]) == [0, 0])
    log.insert(20..<30)
    log.insert(40..<50)
    #expect(epochs([19, 20]) == [0, 1])
    // It lasts longer than was known, and reaches the next one.
    log.insert(25..<40)
    #expect(epochs([30, 49, 50]) == [1, 1, 2])
    log.insert(45..<60)
    #expect(epochs([55, 60]) == [3, 4])
    log.loseRest()
    log.insert(70..<80)
    #expect(epochs([75, 90]) == [5, 5])
  }

  @Test("Gaps that become known one by one, before their time, part the trace as others do")
  func gapsOneByOne() {
    var random = SplitMix64(seed: 5)
    var log = LossLog(LossGaps())
    var known: [Range<UInt64>] = []
    var start: UInt64 = 0
    while known.count < 20_000 {
      start += random.below(20)
      known.append(start..<start + 1 + random.below(8))
    }
    var ahead = known[...]
    var isLost = Set<UInt64>()
    for time in 0..<known.last!.upperBound {
      while let gap = ahead.first, gap.lowerBound <= time + random.below(40) {
        log.insert(gap)
        isLost.formUnion(gap)
        ahead.removeFirst()
      }
      log.advance(to: Nanoseconds(time))
      #expect(log.epoch.isInGap == isLost.contains(time))
    }
  }

  @Test("However many gaps there are, few are kept, and they cover all")
  func manyGaps() {
    var gaps = LossGaps()
    for start in stride(from: UInt64(0), to: 100_000, by: 4) {
      gaps.note(StreamID(CPUIndex(0)), at: Nanoseconds(start + 1))
      gaps.lose(StreamID(CPUIndex(0)), until: Nanoseconds(start + 3))
    }
    #expect(gaps.boundaries.count <= 2 * LossGaps.gapsMax)
    var log = LossLog(gaps)
    for start in stride(from: UInt64(0), to: 100_000, by: 4) {
      log.advance(to: Nanoseconds(start + 2))
      #expect(log.epoch.isInGap)
    }
  }

  @Test("A position that was displaced may be recent, never older than it is")
  func recentPositions() {
    var positions = RecentPositions(bits: 2)
    for key in UInt64(0)..<64 { positions.note(key, at: Sequence(100 + key)) }
    for key in UInt64(0)..<64 {
      let mayBe = positions.mayBe(key, after: Sequence(99 + key))
      #expect(mayBe)
    }
    positions.note(7, at: Sequence(1000))
    let answers = [Sequence(999), Sequence(1000)].map { positions.mayBe(7, after: $0) }
    #expect(answers == [true, false])
  }

  @Test("A table of places that grows forgets nothing, and is exact while it has room")
  func growingTable() {
    var positions = RecentPositions(bits: 13)
    for key in UInt64(0)..<1000 { positions.note(key, at: Sequence(1 + key)) }
    for key in UInt64(0)..<1000 {
      let mayBe = positions.mayBe(key, after: Sequence(key))
      #expect(mayBe)
    }
    let exact = (UInt64(0)..<1000).count { !positions.mayBe($0, after: Sequence(1 + $0)) }
    #expect(exact > 800)
    let mayBeAbsent = positions.mayBe(5000, after: Sequence(1000))
    #expect(!mayBeAbsent)
  }

  @Test("What an earlier epoch established is forgotten, of pages and of a block")
  func epochs() {
    var regions = GuestRegions(pageSize: .size4K)
    let position = RegionIndex(0)
    regions.append(RegionIndex(0), block: 0x200)
    regions.enter(epoch: Epoch(0), position)
    regions.updatePage(7, of: position) { $0.knowledge = [.isEstablished, .wasMadeYoung] }
    regions[position].blockKnowledge = [.isEstablished, .isAssumed]
    regions.enter(epoch: Epoch(0), position)
    #expect(regions.page(7, of: position).knowledge == [.isEstablished, .wasMadeYoung])
    regions.enter(epoch: Epoch(2), position)
    #expect(regions.page(7, of: position).knowledge == .wasMadeYoung)
    #expect(regions[position].blockKnowledge == .isAssumed)
  }

  @Test("Of the pages of a region each is known for itself, whether it is the only one or not")
  func pages() {
    var regions = GuestRegions(pageSize: .size4K)
    let position = RegionIndex(0)
    regions.append(RegionIndex(0), block: 0x200)
    func knowledge(_ page: Int) -> LeafKnowledge { regions.page(page, of: position).knowledge }
    regions.updatePage(7, of: position) { $0.knowledge = .isAssumed }
    #expect(knowledge(7) == .isAssumed)
    #expect((0..<512).filter { knowledge($0) != [] } == [7])
    regions.updatePage(9, of: position) { $0.knowledge = .isReadMapped }
    regions.updatePage(7, of: position) { $0.knowledge = .mayBeOld }
    #expect(knowledge(7) == .mayBeOld && knowledge(9) == .isReadMapped)
    regions.endLogging(FrameRange(start: GFN(0x40000), end: GFN(0x40200)))
    #expect(knowledge(9) == [.isReadMapped, .mayBeProtected])
    #expect((0..<512).count { knowledge($0) == .mayBeProtected } == 510)
  }

  @Test("A region keeps its last events, the oldest first")
  func ring() {
    var regions = GuestRegions(pageSize: .size4K)
    let position = RegionIndex(0)
    regions.append(RegionIndex(0), block: 0x200)
    regions.append(RegionIndex(1), block: 0x201)
    let atFirst = regions.recentEvents(position)
    #expect(atFirst.isEmpty)
    for time in UInt64(1)...11 {
      regions.append(
        RegionEvent(
          time: Nanoseconds(time), ipa: IPA(0x4000_0000), pages: 1, tid: ThreadID(1), cpu: CPUIndex(0),
          kind: .unmap,
          level: nil, access: .none, effect: .asked), to: position)
      #expect(regions.recentEvents(position).first?.time == Nanoseconds(time > 8 ? time - 7 : 1))
    }
    #expect(regions.recentEvents(position).map(\.time.rawValue) == [4, 5, 6, 7, 8, 9, 10, 11])
    let found = regions.positions(in: 0x200...0x200)
    #expect(found == [position])
  }
}
