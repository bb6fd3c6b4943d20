import KVMTypes
import Testing

@testable import Stage2Replay

/// What a vCPU's thread ages and unmaps inside the window of its own fault: reclaim behind the operation, or before it.
@Suite("A vCPU's thread that reclaims memory inside its fault")
struct OwnNotificationTests {
  private func story() -> Scenario {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 8 * story.page, level: 1)
    story.handle(.vcpu0, story.memory + 9 * story.page)
    return story
  }

  /// shrink_folio_list: the thread asks whether a page was used, and takes it.
  private func reclaim(_ story: Scenario, page: UInt64) {
    story.age(.vcpu0, story.crookedHVA + page * story.page)
    story.unmap(.vcpu0, story.crookedHVA + page * story.page)
  }

  @Test(
    "A thread whose cgroup is over its limit reclaims on its way back to the guest: it mapped before that")
  func overHigh() throws {
    let story = story()
    story.fault(.vcpu0, story.memory, .translation, .write)
    reclaim(story, page: 9)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page, .translation, .write)
    let replayed = try story.replay()
    #expect(
      replayed.operations.dropFirst(2) == [
        "map 40000000+1000 = 0, derived", "test_clear_young 40009000+1000 = 1, assumed",
        "unmap 40009000+1000 = 0, derived", "map 40001000+1000 = 0, derived",
      ])
    #expect(replayed.nothing == [:])
    #expect(replayed.divergences == [])
  }

  @Test("A thread that reclaims for the allocation of the page has to retry")
  func inAllocation() throws {
    let story = story()
    story.fault(.vcpu0, story.memory, .translation, .write)
    reclaim(story, page: 9)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, .write)
    let replayed = try story.replay()
    #expect(replayed.nothing == [.faultedAgain: 1])
    #expect(replayed.operations(.map).count == 3)
    #expect(replayed.divergences == [])
  }

  @Test("Where nothing that follows decides, it is assumed that the fault mapped")
  func undecided() throws {
    let story = story()
    story.fault(.vcpu0, story.memory, .translation, .write)
    reclaim(story, page: 9)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).last == "map 40000000+1000 = 0, assumed")
  }

  @Test("Reclaim may take the page that was mapped just before: the next fault says nothing of the first")
  func ownPage() throws {
    let story = story()
    story.fault(.vcpu0, story.memory, .translation, .read)
    reclaim(story, page: 9)
    reclaim(story, page: 0)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(
      replayed.operations.filter { !$0.hasPrefix("test") }.dropFirst(2) == [
        "map 40000000+1000 = 0, assumed", "unmap 40009000+1000 = 0, derived",
        "unmap 40000000+1000 = 0, derived", "map 40000000+1000 = 0, derived",
      ])
    #expect(replayed.divergences == [])
  }

  @Test("A copy-on-write is one though its own allocation reclaims: nobody asked whether the page was used")
  func copyOnWrite() throws {
    let story = story()
    story.handle(.vcpu0, story.memory)
    story.fault(.vcpu0, story.memory, .permission, .write)
    reclaim(story, page: 9)
    story.unmap(.vcpu0, story.crookedHVA)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.nothing == [.ownUnmap: 1])
    #expect(replayed.operations(.relaxPerms) == [])
  }

  /// A copy-on-write, in whose window another vCPU finds the page gone, before the thread waits or after that.
  private func waitAfterUnmap(findsGone: Bool) throws -> Replayed {
    let story = story()
    story.handle(.vcpu0, story.memory)
    story.fault(.vcpu0, story.memory, .permission, .write)
    story.unmap(.vcpu0, story.crookedHVA)
    story.enter(.vcpu1)
    if findsGone { story.fault(.vcpu1, story.memory) }
    story.contend(.vcpu0, lock: 0xffff_0000, flags: 5)
    if !findsGone { story.fault(.vcpu1, story.memory + story.page) }
    story.acquire(.vcpu0, lock: 0xffff_0000)
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    story.fault(.vcpu1, story.memory + 2 * story.page, pc: 0x1000)
    story.enter(.vcpu1)
    return try story.replay()
  }

  @Test("Another vCPU found the page gone: what the thread waits for then is its own turn")
  func waitsForItsTurn() throws {
    let own = try waitAfterUnmap(findsGone: true)
    #expect(
      own.operations.dropFirst(2).prefix(3) == [
        "map 40000000+1000 = 0, derived", "unmap 40000000+1000 = 0, derived",
        "map 40000000+1000 = 0, assumed",
      ])
    let notifier = try waitAfterUnmap(findsGone: false).operations(.unmap)
    #expect(notifier == ["unmap 40000000+1000 = 0, derived"])
  }

  @Test("What an age finds is assumed once a fault met a leaf that the model does not have")
  func missingLeaf() throws {
    for isMissing in [true, false] {
      let story = story()
      story.handle(.vcpu0, story.memory)
      story.enter(.vcpu1)
      if isMissing { story.fault(.vcpu1, story.memory, .permission, .exec) }
      story.unmap(.kswapd, story.crookedHVA)
      story.enter(.vcpu1)
      story.age(.kswapd, story.crookedHVA)
      let answers = try story.replay().operations(.testClearYoung)
      #expect(answers == ["test_clear_young 40000000+1000 = 0, \(isMissing ? "assumed" : "derived")"])
    }
  }

  @Test("A huge page that reclaim splits is unmapped in parts, for the same reason")
  func split() throws {
    let story = story()
    story.fault(.vcpu0, story.memory, .translation, .write)
    story.age(.vcpu0, story.crookedHVA, bytes: 16 * story.page)
    story.unmap(.vcpu0, story.crookedHVA, bytes: 16 * story.page)
    story.unmap(.vcpu0, story.crookedHVA)
    story.enter(.vcpu0)
    #expect(try story.replay().nothing == [:])
  }

  @Test("The thread's own age of the page came after the map if an access flag fault follows, else before it")
  func ownAge() throws {
    let aged = story()
    aged.fault(.vcpu0, aged.memory)
    aged.age(.vcpu0, aged.crookedHVA)
    aged.enter(.vcpu0)
    aged.handleAccessFault(.vcpu0, aged.memory)
    #expect(
      try aged.replay().operations.dropFirst(2) == [
        "map 40000000+1000 = 0, derived", "test_clear_young 40000000+1000 = 1, assumed",
        "mkyoung 40000000, derived",
      ])
    let young = story()
    young.fault(.vcpu0, young.memory)
    young.age(.vcpu0, young.crookedHVA)
    young.enter(.vcpu0)
    young.handle(.vcpu0, young.memory + young.page)
    #expect(
      try young.replay().operations.dropFirst(2) == [
        "test_clear_young 40000000+1000 = 0, assumed", "map 40000000+1000 = 0, derived",
        "map 40001000+1000 = 0, derived",
      ])
  }

  @Test(
    "A fault that reclaims is held against the table as it was before, and what that changed makes its map uncertain"
  )
  func corrected() throws {
    let story = story()
    story.handle(.vcpu0, story.memory)
    // The page is mapped.
    story.fault(.vcpu0, story.memory)
    reclaim(story, page: 9)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["D1 unexplained"])
    #expect(
      replayed.operations(.map).dropFirst(2) == [
        "map 40000000+1000 = 0, derived", "map 40000000+1000 = 0, assumed", "map 40001000+1000 = 0, derived",
      ])
  }

  @Test("A recorded map before what its thread reclaims is the one that is predicted")
  func agreement() throws {
    let story = story()
    story.fault(.vcpu0, story.memory)
    story.recordMap(.vcpu0, story.memory)
    // Memory of the VMM first, which is in no slot.
    story.age(.vcpu0, 0x1000_0000)
    story.unmap(.vcpu0, 0x1000_0000)
    reclaim(story, page: 9)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page)
    let map = try #require(try story.replay().result.agreement?.scores[.map])
    #expect(map.recorded == 1 && map.matched == 1)
  }
}
