import Stage2Replay
import Testing

/// No event marks the end of an unmap, which makes faults retry. But a fault whose thread got on has got through.
@Suite("Faults that got through")
struct ProgressTests {
  /// A VM whose VMM unmaps a page and then does nothing more that is traced.
  private func story() -> Scenario {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.unmap(.vmm, story.crookedHVA)
    return story
  }

  @Test("A fault whose instruction faults elsewhere next has mapped its page")
  func progress() throws {
    let story = story()
    for page in 0..<4 as Range<UInt64> { story.handle(.vcpu0, story.memory + page * story.page) }
    let maps = try story.replay().operations(.map)
    #expect(maps.count == 4)
    // What the last one came to, nothing shows.
    #expect(maps.filter { $0.hasSuffix("derived") }.count == 3)
  }

  @Test("Where events were lost, another vCPU's fault may be among them")
  func lost() throws {
    let story = story()
    story.handle(.vcpu0, story.memory)
    story.loseEvents(cpu: Scenario.Thread.vcpu1.cpu)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + story.page)
    #expect(try story.replay().operations(.map).filter { $0.hasSuffix("derived") } == [])
  }

  @Test("Another vCPU's fault on the page proves nothing")
  func another() throws {
    let story = story()
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory)
    story.fault(.vcpu1, story.memory)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + story.page)
    let maps = try story.replay().operations(.map)
    #expect(maps.filter { $0.hasSuffix("derived") } == [])
  }
}
