import KVMTypes
import Testing

@testable import Stage2Replay

/// What is missing is never made up.
@Suite("Lost events and parts of a trace")
struct IncompleteTraceTests {
  static let map = "map 40000000+1000 = 0, derived"

  static func story() -> Scenario {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    return story
  }

  // MARK: Lost events

  @Test(
    "A fault that is followed by another one without an entry has ended by then, and may have come to nothing"
  )
  func lostEntry() throws {
    let story = Self.story()
    story.fault(.vcpu0, story.memory)
    story.loseEvents(cpu: 0)
    story.handle(.vcpu0, story.memory + story.page)
    // An unmap that the loss hides may be under way.
    #expect(
      try story.replay().operations
        == ["map 40000000+1000 = 0, assumed", "map 40001000+1000 = 0, assumed"])
  }

  @Test(
    "Where events were lost, an unmap may be among them: the fault's next one decides, and nothing is certain"
  )
  func lostUnmap() throws {
    let story = Self.story()
    story.fault(.vcpu0, story.memory)
    story.loseEvents(cpu: 0)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, assumed"])
    #expect(replayed.all[0].time.rawValue == story.now)
    #expect(replayed.nothing == [.faultedAgain: 1])
  }

  @Test("A loss makes a fault uncertain also where its window ended on another CPU in the meantime")
  func lossElsewhere() throws {
    let story = Self.story()
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory)
    story.loseEvents(cpu: 1)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + story.page)
    #expect(
      try story.replay().operations
        == ["map 40000000+1000 = 0, assumed", "map 40001000+1000 = 0, assumed"])
  }

  @Test("Of a VM that is created while events are missing, a commit may be, too: no unmap of it is derived")
  func createdInGap() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.enter(.vcpu1)
    story.createVM()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    story.loseEvents(cpu: 1)
    story.enter(.vcpu1)
    let operations = try story.replay().operations
    #expect(operations.contains("unmap 40000000+1000 = 0, assumed"), "\(operations)")
  }

  // MARK: Parts

  @Test("A window that the trace cuts is left alone")
  func cutWindow() throws {
    let story = Self.story()
    story.handle(.vcpu0, story.memory)
    story.fault(.vcpu0, story.memory + story.page)
    let replayed = try story.replay()
    #expect(replayed.operations == [Self.map])
    #expect(replayed.result.vms[0].faults.total == 2)
  }

  @Test("Events before the moment asked for are left out, but for the slots that they made")
  func from() throws {
    let story = Self.story()
    story.handle(.vcpu0, story.memory)
    story.setFlags(1)
    story.setFlags(0)
    story.options.from = Nanoseconds(story.now + 1)
    story.handle(.vcpu0, story.memory + story.page)
    let replayed = try story.replay()
    // What was under way before is not known.
    #expect(replayed.operations == ["map 40001000+1000 = 0, assumed"])
    #expect(replayed.result.vms[0].faults.total == 1)
  }

  @Test("Events from the last moment asked for on are left out")
  func to() throws {
    let story = Self.story()
    story.handle(.vcpu0, story.memory)
    story.options.to = Nanoseconds(story.now + 1)
    story.handle(.vcpu0, story.memory + story.page)
    #expect(try story.replay().operations == [Self.map])
  }

  @Test("A fault whose window begins outside is left out with it")
  func windowAcrossTheStart() throws {
    let story = Self.story()
    story.fault(.vcpu0, story.memory)
    story.options.from = Nanoseconds(story.now + 1)
    story.enter(.vcpu0)
    #expect(try story.replay().operations.isEmpty)
  }

  @Test("An empty trace has no VMs")
  func empty() throws {
    let replayed = try Scenario().replay()
    #expect(replayed.operations.isEmpty)
    #expect(replayed.result.vms.isEmpty)
    #expect(replayed.result.agreement == nil)
  }

  @Test("A look-ahead of nothing, or less, is one of a single record", arguments: [-1, 0, 1])
  func noLookAhead(lag: Int) throws {
    let story = Self.story()
    story.options.lag = lag
    for page in 0..<3 { story.handle(.vcpu0, story.memory + UInt64(page) * story.page) }
    #expect(try story.replay().operations.count == 3)
  }
}
