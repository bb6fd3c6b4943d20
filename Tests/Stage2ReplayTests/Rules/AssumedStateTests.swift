import KVMTypes
import Testing

@testable import Stage2Replay

/// What follows from an assumption stays one until there is evidence of its own.
@Suite("What rests on an assumption")
struct AssumedStateTests {
  /// A region of which nothing shows in time whether a block or a page was mapped: a block is assumed.
  private func assumedBlock() -> Scenario {
    let story = Scenario()
    story.options.lag = 1
    story.createSlot(pages: 4096, hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    settle(story)
    return story
  }

  /// Something else, until which decisions wait.
  private func settle(_ story: Scenario) { story.testAge(.kswapd, story.congruentHVA + 7 * story.block) }

  @Test("Where an assumed block turns out to be pages, any of them may be mapped and young")
  func disprovedBlock() throws {
    let story = assumedBlock()
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    settle(story)
    story.age(.kswapd, story.congruentHVA)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["D1 unknown"])
    #expect(replayed.operations(.testClearYoung).last == "test_clear_young 40000000+1000 = 0, assumed")
    // Nor is a block assumed any more.
    #expect(
      replayed.operations(.map) == ["map 40000000+200000 = 0, assumed", "map 40001000+1000 = 0, assumed"])
  }

  @Test("Once all of the region was unmapped, that no longer matters")
  func unmappedSince() throws {
    let story = assumedBlock()
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.unmap(.kswapd, story.congruentHVA, bytes: story.block)
    story.age(.kswapd, story.congruentHVA + 5 * story.page)
    #expect(
      try story.replay().operations(.testClearYoung).last == "test_clear_young 40005000+1000 = 0, derived")
  }

  @Test("All pages of a block share its access flag: that of an assumed block says nothing of one page")
  func assumedSize() throws {
    let story = assumedBlock()
    story.age(.kswapd, story.congruentHVA + story.page)
    story.age(.kswapd, story.congruentHVA)
    story.age(.kswapd, story.congruentHVA, bytes: story.block)
    #expect(
      try story.replay().operations(.testClearYoung).dropFirst() == [
        "test_clear_young 40001000+1000 = 1, assumed", "test_clear_young 40000000+1000 = 0, assumed",
        "test_clear_young 40000000+200000 = 0, derived",
      ])
  }

  @Test("A page whose size is an assumption may have been a block, which holds the others")
  func assumedPage() throws {
    let story = Scenario()
    story.options.lag = 1
    story.createSlot(pages: 4096, hva: story.congruentHVA)
    story.enter(.vcpu0)
    // One region of the slot has pages, so the next is taken to have them.
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.handle(.vcpu0, story.memory + story.block, level: 2)
    story.age(.kswapd, story.congruentHVA + 2 * story.page)
    story.age(.kswapd, story.congruentHVA + story.block + 2 * story.page)
    story.handle(.vcpu0, story.memory + story.block + story.page, .permission, level: 2, .exec)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.testClearYoung) == [
        "test_clear_young 40002000+1000 = 0, derived", "test_clear_young 40202000+1000 = 0, assumed",
      ])
    #expect(replayed.result.divergences.unexplained == 0)
  }

  @Test("What is not mapped as far as one can tell after lost events may be")
  func lostEvents() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.age(.kswapd, story.crookedHVA + 5 * story.page)
    story.run(.kswapd)
    story.exit(.vcpu0)
    story.wait(microseconds: 10)
    story.loseEvents(cpu: 0)
    story.wait(microseconds: 10)
    story.enter(.vcpu0)
    story.age(.kswapd, story.crookedHVA + 6 * story.page)
    #expect(
      try story.replay().operations(.testClearYoung) == [
        "test_clear_young 40005000+1000 = 0, derived", "test_clear_young 40006000+1000 = 0, assumed",
      ])
  }
}
