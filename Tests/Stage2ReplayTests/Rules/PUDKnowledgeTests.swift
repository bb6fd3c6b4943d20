import KVMTypes
import Testing
import TraceSynth

@testable import Stage2Replay

/// What is known of a stretch of 1 GiB whose block is an assumption, and what ends that.
@Suite("What is known of blocks of 1 GiB")
struct PUDKnowledgeTests {
  private static let gib = PUDBlockTests.gib

  /// The first stretch of the slot is proven to be mapped by a block, and the next one is taken to be: no fault that waits
  /// is in it any more.
  private func story(before: (Scenario) -> Void = { _ in }) -> Scenario {
    let story = PUDBlockTests.story()
    story.options.lag = 1
    before(story)
    story.handle(.vcpu0, story.memory, level: 0, .write)
    story.handle(.vcpu0, story.memory + story.block, .permission, level: 1, .exec)
    story.handle(.vcpu0, story.memory + Self.gib, level: 1, .write)
    story.testAge(.kswapd, story.congruentHVA)
    return story
  }

  /// Another stretch than the faults' is taken to be mapped by a block because of its age, and by nothing else.
  private func aged() -> Scenario {
    let story = PUDBlockTests.story()
    story.handle(.vcpu0, story.memory, level: 0, .write)
    story.age(.kswapd, story.congruentHVA, bytes: Self.gib)
    return story
  }

  private func unmap(_ story: Scenario, _ offset: UInt64, bytes: UInt64) {
    story.unmap(.vmm, story.congruentHVA + offset, bytes: bytes)
    story.run(.vmm)
  }

  private func setFlags(_ story: Scenario, _ flags: UInt64) {
    story.setFlags(flags, pages: 3 << 18, hva: story.congruentHVA)
  }

  @Test("A leaf of a page in an assumed block leaves open what else of it is mapped")
  func page() throws {
    let story = story()
    story.handleAccessFault(.vcpu0, story.memory + Self.gib + 5 * story.block)
    story.age(.kswapd, story.congruentHVA + Self.gib)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["D4 unknown"])
    #expect(replayed.operations(.testClearYoung).last == "test_clear_young 80000000+1000 = 0, assumed")
  }

  @Test("So does a page that takes the place of an assumed block, which no fault met")
  func broken() throws {
    let story = story { $0.enter(.vcpu1) }
    setFlags(story, 1)
    story.handle(.vcpu1, story.memory + Self.gib + 5 * story.block, level: 1, .write)
    story.age(.kswapd, story.congruentHVA + Self.gib)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["D1 explained E2"])
    #expect(replayed.operations(.testClearYoung).last == "test_clear_young 80000000+1000 = 0, assumed")
  }

  @Test("A fault that meets it proves it, and what contradicts it then is unexplained")
  func proven() throws {
    for (isProven, verdict) in [(true, "unexplained"), (false, "unknown")] {
      let story = story()
      if isProven {
        story.handle(.vcpu0, story.memory + Self.gib + 7 * story.block, .permission, level: 1, .exec)
      }
      story.handle(.vcpu0, story.memory + Self.gib + 9 * story.block, level: 1)
      #expect(try story.replay().divergences == ["D1 \(verdict)"])
    }
  }

  @Test("What was known of a block before events were lost is not known after")
  func lostEvents() throws {
    let story = PUDBlockTests.story()
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, level: 0)
    // It is held against the model before its thread unmaps other memory, and relaxes the block after the loss.
    story.fault(.vcpu0, story.memory, .permission, level: 1, .write)
    story.unmap(.vcpu0, story.congruentHVA + 2 * Self.gib)
    story.run(.kswapd)
    story.loseEvents(cpu: Scenario.Thread.kswapd.cpu)
    story.run(.kswapd)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 2 * Self.gib, level: 1)
    story.stop(.vcpu1)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory + 5 * story.block, level: 1)
    #expect(try story.replay().divergences == ["D1 unknown E6"])
  }

  @Test("Only the unmap of the whole stretch, and of no more, leaves the size of the host's page")
  func unmapped() throws {
    for (offset, bytes, size) in [
      (0, Self.gib, "40000000"), (Self.gib / 2, 0x1000, "200000"), (0, 3 * Self.gib, "200000"),
    ] {
      let story = aged()
      unmap(story, offset, bytes: bytes)
      story.handle(.vcpu0, story.memory + 3 * story.block, level: 0, .write)
      let address = size == "200000" ? "40600000" : "40000000"
      #expect(try story.replay().operations(.map).last == "map \(address)+\(size) = 0, assumed")
    }
  }

  @Test("Of a stretch that nothing was known of it says nothing")
  func otherStretch() throws {
    let story = aged()
    unmap(story, Self.gib, bytes: Self.gib)
    story.handle(.vcpu0, story.memory + Self.gib, level: 1, .write)
    #expect(
      try story.replay().operations(.map) == [
        PUDBlockTests.assumedBlock, "map 80000000+200000 = 0, assumed",
      ])
  }

  @Test("A page that logging may be the reason for does not say that the host has none of 1 GiB")
  func pageUnderLogging() throws {
    let story = aged()
    unmap(story, 0, bytes: Self.gib)
    setFlags(story, 1)
    story.run(.vmm)
    story.handle(.vcpu0, story.memory + 5 * story.block, level: 0, .write)
    story.handle(.vcpu0, story.memory + 5 * story.block + story.page, level: 3, .write)
    setFlags(story, 0)
    story.handle(.vcpu0, story.memory + 9 * story.block, level: 2, .write)
    #expect(try story.replay().operations(.map).last == PUDBlockTests.assumedBlock)
  }
}
