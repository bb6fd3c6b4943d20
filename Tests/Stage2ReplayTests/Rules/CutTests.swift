import KVMTrace
import KVMTypes
import Testing
import TraceSynth

@testable import Stage2Replay

/// A replay of a part of a trace: what is under way where it begins, and where it ends, no event of it tells.
@Suite("Parts of a trace")
struct CutTests {
  private static let formats = KVMEventFormats.all + StageTwoProbeFormats.all

  /// The replay begins here.
  private func cut(_ story: Scenario) { story.options.from = Nanoseconds(story.now + 1) }

  private func expectNothingUnexplained(_ replayed: Replayed) {
    #expect(!replayed.divergences.contains { $0.contains("unexplained") }, "\(replayed.divergences)")
  }

  @Test("A leaf that a fault met may be gone by an unmap in its window")
  func unmapInWindow() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    cut(story)
    story.handle(.vcpu0, story.memory + 8 * story.page)
    story.handle(.vcpu0, story.memory + 9 * story.page)
    story.unmap(.kswapd, story.crookedHVA)
    story.fault(.vcpu0, story.memory, .permission, .write)
    story.enter(.kswapd)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, .write)
    let replayed = try story.replay()
    expectNothingUnexplained(replayed)
    #expect(replayed.divergences.contains("D1 unknown"), "\(replayed.divergences)")
  }

  @Test("A fault from before the cut keeps others from the entry that it changes")
  func unseenFault() throws {
    let story = PUDBlockTests.story()
    story.enter(.vcpu1)
    // That the host has a page of 1 GiB is known from the end alone.
    story.fault(.vcpu1, story.memory, level: 1, .write)
    cut(story)
    story.handle(.vcpu0, story.memory + 2 * PUDBlockTests.gib, level: 1, .write)
    story.handle(.vcpu0, story.memory + PUDBlockTests.gib, level: 1, .write)
    for _ in 0..<3 { story.handle(.vcpu0, story.memory + 5 * story.block, level: 1, .write) }
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + 5 * story.block, .permission, level: 1, .exec)
    let replayed = try story.replay()
    expectNothingUnexplained(replayed)
    let maps = replayed.operations(.map)
    #expect(maps.count { $0.contains("= -11, assumed") } == 2, "\(maps)")
    #expect(!maps.contains { $0.hasSuffix("derived") }, "\(maps)")
  }

  @Test("A block that comes in a fault's window may have replaced the pages that it met")
  func blockInWindow() throws {
    let story = PUDBlockTests.story()
    story.enter(.vcpu1)
    cut(story)
    story.exit(.vcpu0, exceptionClass: 1)
    story.enter(.vcpu0)
    story.exit(.vcpu1, exceptionClass: 1)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory + 7 * story.page, .permission, level: 3, .write)
    story.handle(.vcpu1, story.memory + 9 * story.page, level: 2)
    story.enter(.vcpu0)
    expectNothingUnexplained(try story.replay())
  }

  @Test("Events of what may be one notification are one place: what was recorded meets the first")
  func openRepetition() throws {
    let story = Scenario(formats: Self.formats)
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    for _ in 0..<2 { story.unmap(.vmm, story.congruentHVA, bytes: story.block) }
    story.recordUnmap(.vmm, story.memory, bytes: story.block)
    story.handle(.vcpu0, story.memory, level: 1)
    let score = try #require(try story.replay().result.agreement?.scores[.unmap])
    #expect(score.recorded == 1 && score.matched == 1 && score.derivedWrong == 0, "\(score)")
  }

  @Test("What a notification does after the last event was not recorded, which contradicts nothing")
  func endInNotification() throws {
    let story = Scenario(formats: Self.formats)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory + story.page)
    story.unmap(.kswapd, story.crookedHVA)
    story.recordUnmap(.kswapd, story.memory)
    story.unmap(.kswapd, story.crookedHVA + story.page)
    story.options.to = Nanoseconds(story.now + 1)
    story.recordUnmap(.kswapd, story.memory + story.page)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap).count == 2)
    let score = try #require(replayed.result.agreement?.scores[.unmap])
    #expect(score.recorded == 1 && score.predicted == 1 && score.derivedWrong == 0, "\(score)")
  }
}
