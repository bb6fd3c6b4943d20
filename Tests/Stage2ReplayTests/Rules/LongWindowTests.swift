import KVMTypes
import Testing

@testable import Stage2Replay

/// Windows that outlast what the replay remembers, and threads that vanish inside theirs.
@Suite("Windows without end")
struct LongWindowTests {
  /// Two vCPUs, of which the first takes a fault that stays open while thousands of notifiers pass.
  static func story(_ events: Int) -> Scenario {
    let story = Scenario()
    story.options.lag = 1
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory)
    for number in 0..<events { story.age(.kswapd, story.crookedHVA + UInt64(2 + number % 2) * story.page) }
    return story
  }

  @Test("A window of ordinary length is remembered whole")
  func ordinary() throws {
    let story = Self.story(100)
    story.enter(.vcpu0)
    #expect(try story.replay().operations(.map) == ["map 40000000+1000 = 0, derived"])
  }

  @Test("A fault whose window outlasts the timelines was performed, but nothing about it is certain")
  func long() throws {
    let story = Self.story(10_000)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .permission, .write)
    let replayed = try story.replay()
    #expect(replayed.operations(.map) == ["map 40000000+1000 = 0, assumed"])
    #expect(replayed.operations(.relaxPerms) == ["relax_perms 40000000 = 0, derived"])
    #expect(replayed.operations(.testClearYoung).count == 10_000)
  }

  @Test("What follows such a window still decides the fault")
  func decided() throws {
    let story = Self.story(10_000)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.nothing == [.faultedAgain: 1])
    #expect(replayed.operations(.map).count == 1)
  }

  @Test("A thread that vanishes inside its window harms no other")
  func vanished() throws {
    let story = Self.story(10_000)
    story.handle(.vcpu1, story.memory + story.page)
    let replayed = try story.replay()
    #expect(replayed.operations(.map) == ["map 40001000+1000 = 0, derived"])
  }

  @Test("Thousands of unmaps of one thread, none of which is known to be over")
  func nestedUnmaps() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    for number in 1..<5000 {
      story.unmap(.kswapd, story.crookedHVA, bytes: UInt64(number) * story.page)
    }
    story.handle(.vcpu0, story.memory)
    story.age(.kswapd, story.crookedHVA + 2 * story.page)
    // Another instruction: had it been the same one, it would have got through the first page.
    story.handle(.vcpu0, story.memory + story.page, pc: 0x2000)
    #expect(
      try story.replay().operations(.map)
        == ["map 40000000+1000 = 0, assumed", "map 40001000+1000 = 0, derived"])
  }
}
