import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

/// Memslots that the trace does not tell: given beforehand, with a time of their own.
@Suite("Memslots given beforehand")
struct GivenMemslotTests {
  private func slot(
    _ story: Scenario, ipa: UInt64? = nil, hva: UInt64? = nil, unplaced: Bool = false, flags: UInt32 = 0
  ) -> Memslot {
    Memslot(
      id: nil, base: IPA(ipa ?? story.memory).gfn(story.pageSize), pages: 1024,
      hva: unplaced ? nil : HVA(hva ?? story.crookedHVA), flags: .init(rawValue: flags), basis: .assumed)
  }

  private func given(_ vms: MemslotHistory.VM...) -> MemslotHistory {
    var history = MemslotHistory()
    history.vms = vms
    return history
  }

  private func vm(tids: [Int32]? = nil, _ slots: MemslotHistory.Slot...) -> MemslotHistory.VM {
    var vm = MemslotHistory.VM(tids: tids?.map { ThreadID($0) })
    vm.slots = slots
    return vm
  }

  @Test("A slot without times is there from the first event on, and the probes are not looked at")
  func timeless() throws {
    let story = Scenario()
    story.options.memslots = given(vm(.init(slot(story))))
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.createSlot(ipa: story.memory + 0x1000_0000, hva: 0xfe00_0000_1000)
    story.handle(.vcpu0, story.memory + 0x1000_0000)
    story.unmap(.kswapd, story.crookedHVA)
    let replayed = try story.replay()
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, assumed", "unmap 40000000+1000 = 0, assumed"])
    #expect(replayed.nothing == [.noSlot: 1])
  }

  @Test("Slots come and go at their times, and their flags change")
  func times() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    // The page's fault comes before the slot does, and nothing says that it became MMIO.
    var life = MemslotHistory.Slot(slot(story), from: Nanoseconds(story.now + 1))
    story.handle(.vcpu0, story.memory + story.page, .translation, level: 3, .write)
    life.changes = [.init(at: Nanoseconds(story.now + 1), flags: .logDirtyPages)]
    story.handle(.vcpu0, story.memory + story.page, .permission, level: 3, .write)
    life.to = Nanoseconds(story.now + 1)
    story.handle(.vcpu0, story.memory)
    story.options.memslots = given(vm(life))
    #expect(
      try story.replay().operations == [
        "map 40000000+1000 = 0, assumed", "map 40001000+1000 = 0, assumed",
        "wrprotect 40000000+400000 = 0, assumed", "relax_perms 40001000 = 0, assumed",
        "unmap 40000000+400000 = 0, assumed",
      ])
  }

  @Test("Two VMs with the same addresses are told apart by their threads")
  func threads() throws {
    let story = Scenario()
    story.options.memslots = given(
      vm(tids: [1001], .init(slot(story))), vm(tids: [1002], .init(slot(story, hva: 0xfe00_0000_1000))))
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    story.handle(.vcpu1, story.memory)
    story.handle(.vcpu0, story.memory + story.page)
    story.unmap(.kswapd, 0xfe00_0000_1000)
    let replayed = try story.replay()
    #expect(replayed.operations(vm: 0) == ["map 40001000+1000 = 0, assumed"])
    #expect(
      replayed.operations(vm: 1) == ["map 40000000+1000 = 0, assumed", "unmap 40000000+1000 = 0, assumed"])
    #expect(replayed.result.vms.map(\.vcpus) == [[ThreadID(1001)], [ThreadID(1002)]])
  }

  @Test("A thread that no VM lists has a VM of its own where every VM lists its threads")
  func strangers() throws {
    let story = Scenario()
    story.options.memslots = given(vm(tids: [1001], .init(slot(story))))
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.result.vms.map(\.vcpus) == [[ThreadID(1001)], [ThreadID(1002)]])
    #expect(replayed.operations == ["map 40000000+1000 = 0, assumed"])
  }

  @Test("A VM that is gone takes no more events")
  func end() throws {
    let story = Scenario()
    var first = vm(.init(slot(story)))
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    first.to = Nanoseconds(story.now + 1)
    let second = vm(.init(slot(story, hva: 0xfe00_0000_1000), from: Nanoseconds(story.now + 1)))
    story.options.memslots = given(first, second)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    let replayed = try story.replay()
    #expect(replayed.operations(vm: 0) == ["map 40000000+1000 = 0, assumed"])
    #expect(replayed.operations(vm: 1) == ["map 40000000+1000 = 0, assumed"])
  }

  @Test("In a slot of unknown host address, a fault on what was mapped shows that it was unmapped")
  func unplaced() throws {
    let story = Scenario()
    story.options.memslots = given(vm(.init(slot(story, unplaced: true))))
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, assumed", "unmap 40000000+1000 = 0, assumed",
        "map 40000000+1000 = 0, assumed",
      ])
    #expect(replayed.result.vms[0].slots.map(\.hva) == [nil])
  }

  @Test("An unmap by the faulting thread may have hit a slot of unknown host address: the next fault decides")
  func unplacedRetry() throws {
    let story = Scenario()
    story.options.memslots = given(vm(.init(slot(story, unplaced: true))))
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory, .translation, level: 3, .write)
    story.unmap(.vcpu0, story.crookedHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, level: 3, .write)
    #expect(try story.replay().operations == ["map 40000000+1000 = 0, assumed"])
  }

  @Test("In a slot of unknown host address and flags, faults on pages of a block show that it was logged")
  func unplacedLogging() throws {
    let story = Scenario()
    story.options.memslots = given(vm(.init(slot(story, unplaced: true))))
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.handle(.vcpu0, story.memory + 2 * story.page, level: 3)
    #expect(
      try story.replay().operations(.map) == [
        "map 40000000+200000 = 0, assumed", "map 40000000+1000 = 0, assumed",
        "map 40001000+1000 = 0, assumed", "map 40002000+1000 = 0, assumed",
      ])
  }
}
