import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// Faults whose slot is deleted or moved while KVM handles them: the removal waits for them before it unmaps the slot.
@Suite("Slots that go while faults are handled")
struct SlotRemovalTests {
  private let mapped = "map 40000000+1000 = 0, derived"
  private let unsure = "map 40000000+1000 = 0, assumed"
  private let removed = "unmap 40000000+400000 = 0, derived"

  /// A VM with a fault whose window is open.
  private func story(_ access: Scenario.Access = .write, _ change: (Scenario) -> Void = { _ in }) -> Scenario
  {
    let story = Scenario()
    change(story)
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory, level: 1, access)
    return story
  }

  /// The vCPU writes to what is a device now, and finds nothing mapped.
  private func accessDevice(_ story: Scenario) {
    story.fault(.vcpu0, story.memory, level: 1, .write)
    story.mmio(.vcpu0, story.memory)
    story.exitToVMM(.vcpu0)
    story.enter(.vcpu0)
  }

  @Test(
    "The fault mapped its page before the slot's unmap, though its window ends later",
    arguments: [false, true])
  func fault(isMove: Bool) throws {
    let story = story()
    if isMove { story.moveSlot(to: story.memory + 0x1000_0000) } else { story.deleteSlot() }
    story.enter(.vcpu0)
    accessDevice(story)
    let replayed = try story.replay()
    #expect(replayed.operations == [mapped, removed])
    #expect(replayed.divergences == [])
    #expect(replayed.result.vms[0].memory.mappings.live == 0)
  }

  @Test("A slot that comes and goes twice in the window: the fault was handled before it went last")
  func thereAndBack() throws {
    let story = Scenario()
    let other = story.memory + 0x1000_0000
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, other, level: 1, .write)
    for _ in 0..<2 {
      story.moveSlot(to: other)
      story.moveSlot(from: other, to: story.memory)
    }
    story.enter(.vcpu0)
    story.fault(.vcpu0, other, level: 1, .write)
    story.mmio(.vcpu0, other)
    story.exitToVMM(.vcpu0)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        removed, "unmap 50000000+400000 = 0, derived", removed, "map 50000000+1000 = 0, derived",
        "unmap 50000000+400000 = 0, derived",
      ])
    #expect(replayed.divergences == [])
  }

  @Test(
    "A slot is there again when the window ends: what follows on the page tells whether the fault found it")
  func backAgain() throws {
    func again() -> Scenario {
      let story = story()
      story.deleteSlot()
      story.createSlot()
      story.enter(.vcpu0)
      return story
    }
    let first = again()
    first.handle(.vcpu0, first.memory, level: 1, .write)
    var replayed = try first.replay()
    #expect(replayed.operations == [removed, mapped, mapped])
    #expect(replayed.divergences == [])
    let second = again()
    second.handle(.vcpu0, second.memory, .permission, .exec)
    replayed = try second.replay()
    #expect(replayed.operations == [removed, mapped, "relax_perms 40000000 = 0, derived"])
    #expect(replayed.divergences == [])
    // Beyond the look-ahead it is an assumption that a later fault may contradict.
    let unclear = again()
    unclear.options.lag = 1
    unclear.enter(.vcpu1)
    for number in 1..<UInt64(4) { unclear.testAge(.kswapd, unclear.crookedHVA + number * unclear.page) }
    unclear.handle(.vcpu0, unclear.memory, level: 1, .write)
    #expect(try unclear.replay().divergences == ["D1 unknown"])
  }

  @Test("Each vCPU's fault was handled before")
  func severalVCPUs() throws {
    let story = story()
    story.enter(.vcpu1)
    story.fault(.vcpu1, story.memory + story.page, level: 1)
    story.deleteSlot()
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    accessDevice(story)
    let replayed = try story.replay()
    #expect(replayed.operations.last == removed && replayed.operations(.map).count == 2)
    #expect(replayed.divergences.allSatisfy { !$0.contains("unexplained") })
    #expect(replayed.result.vms[0].memory.mappings.live == 0)
  }

  @Test("An unmap may have made it retry: that it faults again says nothing, for what it was given went")
  func again() throws {
    let story = story()
    story.unmap(.kswapd, story.crookedHVA + 4 * story.page)
    story.deleteSlot()
    story.enter(.vcpu0)
    story.createSlot()
    story.handle(.vcpu0, story.memory, level: 1, .write)
    let replayed = try story.replay()
    #expect(replayed.operations(.map) == [unsure, unsure])
    #expect(replayed.nothing == [:])
  }

  @Test("The same where another vCPU faults there, and none says more")
  func againElsewhere() throws {
    let story = story()
    story.unmap(.kswapd, story.crookedHVA + 4 * story.page)
    story.deleteSlot()
    story.enter(.vcpu0)
    story.createSlot()
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory, level: 1, .write)
    #expect(try story.replay().operations(.map) == [unsure, unsure])
  }

  @Test("The window outlasts the look-ahead: what was mapped is gone all the same")
  func beyondLookahead() throws {
    let story = story { $0.options.lag = 4 }
    story.deleteSlot()
    story.createSlot(id: 1, ipa: story.memory + 0x1000_0000, hva: 0xfe00_0000_1000)
    story.enter(.vcpu1)
    for number in 0..<UInt64(16) {
      story.handle(.vcpu1, story.memory + 0x1000_0000 + number * story.page, level: number == 0 ? 1 : 3)
    }
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory, level: 2, .write)
    story.mmio(.vcpu0, story.memory)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).contains(mapped))
    // The table that it did not find is there by the time when it is settled.
    #expect(replayed.divergences == ["D1 explained E2"])
    #expect(replayed.result.vms[0].memory.mappings.live == 16)
  }

  @Test("A fetch that found the slot on its way out ends in an abort without an event: assumed")
  func fetch() throws {
    let open = story(.exec)
    open.deleteSlot()
    open.enter(.vcpu0)
    #expect(try open.replay().operations(.map) == [unsure])
    let closed = story(.exec)
    closed.enter(.vcpu0)
    closed.deleteSlot()
    #expect(try closed.replay().operations(.map) == [unsure])
    // One that was over before the VMM did anything else.
    let before = story(.exec)
    before.enter(.vcpu0)
    before.createSlot(id: 1, ipa: before.memory + 0x1000_0000, hva: 0xfe00_0000_1000)
    before.deleteSlot()
    #expect(try before.replay().operations(.map) == [mapped])
  }
}
