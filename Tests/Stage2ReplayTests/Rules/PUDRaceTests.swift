import KVMTypes
import Testing
import TraceSynth

@testable import Stage2Replay

/// Two vCPUs whose faults, far from each other, have to change one entry of level 1.
@Suite("Races for a block of 1 GiB")
struct PUDRaceTests {
  private static let overtaken = "map 40000000+40000000 = -11, assumed"

  /// A block of 1 GiB that is proven to be mapped, and two vCPUs in the guest.
  private func story() -> Scenario {
    let story = PUDBlockTests.story()
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    story.handle(.vcpu0, story.memory + story.block, .permission, level: 1, .exec)
    return story
  }

  private func setFlags(_ story: Scenario, _ flags: UInt64) {
    story.setFlags(flags, pages: 3 << 18, hva: story.congruentHVA)
    story.exit(.vcpu1, exceptionClass: 1)
    story.enter(.vcpu1)
  }

  /// The second vCPU finds the entry empty, twice.
  private func lose(_ story: Scenario, level: Int) {
    for _ in 0..<2 { story.handle(.vcpu1, story.memory + 5 * story.block, level: level, .write) }
  }

  @Test("Who finds no block, again and again, while another vCPU's page takes its place got -EAGAIN")
  func page() throws {
    let story = story()
    setFlags(story, 1)
    story.fault(.vcpu0, story.memory, .permission, level: 1, .write)
    lose(story, level: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu1, story.memory + 5 * story.block, level: 2, .write)
    story.handle(.vcpu1, story.memory + 5 * story.block + story.page, level: 3, .write)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.map) == [
        PUDBlockTests.block, "map 40000000+1000 = 0, assumed", "map 40a00000+1000 = -11, assumed",
        "map 40a00000+1000 = -11, assumed", "map 40a00000+1000 = 0, derived",
        "map 40a01000+1000 = 0, derived",
      ])
    #expect(!replayed.divergences.contains { $0.contains("unexplained") })
  }

  @Test("So did who finds no table while a block takes the place of all pages")
  func block() throws {
    let story = story()
    setFlags(story, 1)
    story.handle(.vcpu0, story.memory + 7 * story.page, .permission, level: 1, .write)
    story.run(.vmm)
    setFlags(story, 0)
    story.fault(.vcpu0, story.memory + 9 * story.page, level: 3, .write)
    lose(story, level: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu1, story.memory + 6 * story.block, .permission, level: 1, .exec)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.map) == [
        PUDBlockTests.block, "map 40007000+1000 = 0, derived", PUDBlockTests.assumedBlock, Self.overtaken,
        Self.overtaken,
      ])
    #expect(!replayed.divergences.contains { $0.contains("unexplained") })
  }

  @Test("An unmap that may be under way is not what makes one vCPU fault again, if the other does not")
  func unmapUnderway() throws {
    let story = story()
    story.unmap(.vmm, story.congruentHVA, bytes: PUDBlockTests.gib)
    story.fault(.vcpu0, story.memory, level: 0, .write)
    lose(story, level: 0)
    lose(story, level: 0)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + PUDBlockTests.gib, level: 1, .write)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.map).prefix(5) == [
        PUDBlockTests.block, PUDBlockTests.assumedBlock, Self.overtaken, Self.overtaken, Self.overtaken,
      ])
  }

  @Test("Pages that are logged leave the table of others alone")
  func pages() throws {
    let story = story()
    setFlags(story, 1)
    story.handle(.vcpu0, story.memory, .permission, level: 1, .write)
    story.exit(.vcpu1, exceptionClass: 1)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory + story.page, level: 3, .write)
    story.handle(.vcpu1, story.memory + 5 * story.block, level: 2, .write)
    story.enter(.vcpu0)
    #expect(try story.replay().operations(.map).allSatisfy { $0.hasSuffix("= 0, derived") })
  }

  @Test("A fault is not ahead of its own thread's fault before, though another one is ahead of that")
  func ownThread() throws {
    let story = PUDBlockTests.story()
    story.enter(.vcpu1)
    let (a, b) = (story.memory + story.block, story.memory + 5 * story.block)
    story.handle(.vcpu0, story.memory + PUDBlockTests.gib, level: 0, .write)
    // It makes the faults that follow retry.
    story.unmap(.kswapd, story.congruentHVA, bytes: PUDBlockTests.gib)
    story.fault(.vcpu0, a, level: 1, .write)
    story.fault(.vcpu1, b, level: 1, .write)
    story.enter(.vcpu0)
    story.fault(.vcpu0, a, level: 1, .write)
    story.enter(.vcpu1)
    story.fault(.vcpu1, b, level: 1, .write)
    story.run(.kswapd)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 2 * PUDBlockTests.gib, level: 1, .write)
    story.enter(.vcpu1)
    let tid = Scenario.Thread.vcpu0.tid
    let own = try story.replay().all.filter { $0.kind == .map && $0.tid.rawValue == tid }
    #expect(own.map(\.time) == own.map(\.time).sorted())
    #expect(own.dropFirst().map(\.result) == [-11, 0, 0])
  }
}
