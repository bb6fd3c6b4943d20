import KVMTypes
import Testing

@testable import Stage2Replay

/// Memslots of stories whose hosts have no probe on them.
@Suite("Inferred memslots")
struct MemslotInferenceTests {
  /// A vCPU reads a page and then writes it, so that the host copies it: the guest faults twice more.
  private func copyOnWrite(
    _ story: Scenario, _ thread: Scenario.Thread = .vcpu0, ipa: UInt64, hva: UInt64
  ) {
    story.handle(thread, ipa)
    story.fault(thread, ipa, .permission, level: 3, .write)
    story.unmap(thread, hva)
    story.enter(thread)
    story.handle(thread, ipa, .translation, level: 3, .write)
  }

  private func slots(_ story: Scenario) throws -> [(slot: Memslot, evidence: SlotEvidence)] {
    let result = try story.replay().result
    return try result.vms.flatMap { vm in
      try vm.slots.map { ($0, try #require(vm.slotEvidence[$0])) }
    }
  }

  @Test(
    "Copies on write give the host address of each page; 16 of them a slot, 15 none", arguments: [15, 16])
  func copiesOnWrite(pages: Int) throws {
    let story = Scenario()
    story.enter(.vcpu0)
    for page in 0..<UInt64(pages) {
      copyOnWrite(story, ipa: story.memory + page * story.page, hva: story.crookedHVA + page * story.page)
    }
    let slots = try slots(story)
    #expect(slots.count == 1)
    #expect(slots[0].slot.base == IPA(story.memory).gfn(.size4K) && slots[0].slot.pages == UInt64(pages))
    #expect(slots[0].slot.hva == (pages < 16 ? nil : HVA(story.crookedHVA)))
    #expect(slots[0].slot.basis == .assumed)
    if pages == 16 { #expect(slots[0].evidence.support == 16 && slots[0].evidence.offsetBasis == .derived) }
  }

  @Test("The operations follow from the inferred slot, all of them assumed")
  func operations() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    for page in 0..<UInt64(16) {
      copyOnWrite(story, ipa: story.memory + page * story.page, hva: story.crookedHVA + page * story.page)
    }
    story.age(.kswapd, story.crookedHVA + 2 * story.page)
    let operations = try story.replay().operations
    #expect(operations.count == 16 * 3 + 1)
    #expect(operations.prefix(3).map { $0.hasSuffix("assumed") } == [true, true, true])
    #expect(operations.last == "test_clear_young 40002000+1000 = 1, assumed")
  }

  /// Pages are mapped, given back and touched again: each before the next one, or all of them after one another.
  private func refaults(oneByOne: Bool) -> Scenario {
    let story = Scenario()
    story.enter(.vcpu0)
    func touch(_ page: UInt64) { story.handle(.vcpu0, story.memory + page * story.page) }
    if !oneByOne { for page in 0..<UInt64(20) { touch(page) } }
    for page in 0..<UInt64(20) {
      if oneByOne { touch(page) }
      story.unmap(.kswapd, story.crookedHVA + page * story.page)
      story.age(.kswapd, story.crookedHVA)
      touch(page)
    }
    return story
  }

  @Test("Memory given back and touched again tells as much")
  func refaults() throws {
    let slots = try slots(refaults(oneByOne: true))
    #expect(slots.map(\.slot.hva) == [HVA(0xff00_4000_1000)])
    #expect(slots[0].evidence.support == 20 && slots[0].evidence.runnerUp == 0)
  }

  @Test("Where each page may be its neighbour's, nothing is stated, however many pages there are")
  func neighbours() throws {
    let slots = try slots(refaults(oneByOne: false))
    #expect(slots.map(\.slot.hva) == [nil])
    #expect(slots[0].evidence.support == 20 && slots[0].evidence.runnerUp == 19)
  }

  @Test(
    "Ages and the access flag faults that follow tell, too, in pages and in blocks", arguments: [false, true])
  func ages(inBlocks: Bool) throws {
    let story = Scenario()
    let step = inBlocks ? story.block : story.page
    story.enter(.vcpu0)
    for turn in 0..<UInt64(16) {
      story.handle(.vcpu0, story.memory + turn * step, level: inBlocks ? 2 : 3)
      story.age(.kswapd, story.congruentHVA + turn * step, bytes: inBlocks ? story.block : nil)
      story.handleAccessFault(.vcpu0, story.memory + turn * step, level: inBlocks ? 2 : 3)
    }
    let slots = try slots(story)
    #expect(slots.map(\.slot.hva) == [HVA(story.congruentHVA)])
    #expect(slots[0].slot.pages == 16 * step / story.page)
  }

  @Test("A large range that explains many faults places nothing")
  func wideRange() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    for page in 0..<UInt64(64) { story.handle(.vcpu0, story.memory + page * story.page) }
    story.unmap(.vmm, story.crookedHVA, bytes: 64 * story.page)
    story.exitToVMM(.vmm)
    for page in 0..<UInt64(64) { story.handle(.vcpu0, story.memory + page * story.page) }
    #expect(try slots(story).map(\.slot.hva) == [nil])
  }

  @Test(
    "A scan that fits page for page at two distances places nothing, and says how much spoke for the best")
  func ambiguous() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    for page in 0..<UInt64(20) { story.handle(.vcpu0, story.memory + page * story.page) }
    for page in 0..<UInt64(20) {
      story.age(.kswapd, story.crookedHVA + page * story.page)
      story.age(.kswapd, 0xfe00_0000_0000 + page * story.page)
    }
    for page in 0..<UInt64(20) { story.handleAccessFault(.vcpu0, story.memory + page * story.page) }
    let slots = try slots(story)
    #expect(slots.map(\.slot.hva) == [nil])
    #expect(slots[0].evidence.support == 20 && slots[0].evidence.runnerUp == 20)
    #expect(slots[0].evidence.confidence == 0)
  }

  @Test("Two VMs with the same guest addresses are told apart")
  func twoVMs() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    for page in 0..<UInt64(20) {
      copyOnWrite(story, ipa: story.memory + page * story.page, hva: story.crookedHVA + page * story.page)
      copyOnWrite(
        story, .vcpu1, ipa: story.memory + page * story.page, hva: 0xfe00_0000_0000 + page * story.page)
    }
    let result = try story.replay().result
    #expect(result.vms.map(\.vcpus) == [[ThreadID(1001)], [ThreadID(1002)]])
    #expect(result.vms.map { $0.slots.map(\.hva) } == [[HVA(story.crookedHVA)], [HVA(0xfe00_0000_0000)]])
  }

  /// A thread's loop over pages, by one instruction.
  private func touch(
    _ story: Scenario, _ thread: Scenario.Thread, _ pages: Range<UInt64>, firstLevel: Int = 3
  ) {
    for page in pages {
      story.handle(thread, story.memory + page * story.page, level: page == pages.lowerBound ? firstLevel : 3)
    }
  }

  @Test(
    "A thread whose first walk stops where another one has pages runs another VM, one that finds their table does not",
    arguments: [1, 2, 3])
  func emptyTable(level: Int) throws {
    let story = Scenario()
    story.enter(.vcpu0)
    touch(story, .vcpu0, 0..<4, firstLevel: 1)
    story.enter(.vcpu1)
    touch(story, .vcpu1, 4..<8, firstLevel: level)
    let vms = try story.replay().result.vms
    #expect(vms.map(\.vcpus.count) == (level == 3 ? [2] : [1, 1]))
    #expect(vms.allSatisfy { $0.slots.map(\.basis) == [.assumed] })
  }

  @Test("A walk that began before the other thread was given its page says nothing")
  func simultaneous() throws {
    let story = Scenario()
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    touch(story, .vcpu0, 0..<4, firstLevel: 1)
    touch(story, .vcpu1, 4..<8, firstLevel: 1)
    #expect(try story.replay().result.vms.map(\.vcpus.count) == [2])
  }

  @Test(
    "A thread that is given the pages of another one is of another VM, unless an unmap came between",
    arguments: [false, true])
  func givenTwice(unmaps: Bool) throws {
    let story = Scenario()
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    touch(story, .vcpu0, 0..<8, firstLevel: 1)
    if unmaps { story.unmap(.kswapd, 0xfd00_0000_0000, bytes: story.block) }
    touch(story, .vcpu1, 0..<8, firstLevel: 1)
    #expect(try story.replay().result.vms.map(\.vcpus.count) == (unmaps ? [2] : [1, 1]))
  }

  @Test(
    "Where threads are given their own pages again, a slot went without an event, and they may be of one VM")
  func movedUnseen() throws {
    let story = Scenario()
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    touch(story, .vcpu0, 0..<8)
    touch(story, .vcpu1, 8..<16)
    touch(story, .vcpu0, 4..<12)
    touch(story, .vcpu1, 12..<17)
    touch(story, .vcpu0, 0..<4)
    #expect(try story.replay().result.vms.map(\.vcpus.count) == [2])
  }

  @Test("Of several VMs that a thread may belong to, it is of that with the nearest number")
  func nearestNumber() throws {
    let story = Scenario()
    let far = Scenario.Thread(tid: 2000, cpu: 2)
    let near = Scenario.Thread(tid: 2001, cpu: 3)
    story.enter(.vcpu0)
    touch(story, .vcpu0, 0..<4, firstLevel: 1)
    story.enter(far)
    touch(story, far, 0..<4, firstLevel: 1)
    story.enter(near)
    touch(story, near, 4..<8)
    #expect(
      try story.replay().result.vms.map(\.vcpus) == [[ThreadID(1001)], [ThreadID(2000), ThreadID(2001)]])
  }

  @Test("A VM whose host addresses another one has later is gone by then")
  func successor() throws {
    let story = Scenario()
    for thread in [Scenario.Thread.vcpu0, .vcpu1] {
      story.enter(thread)
      touch(story, thread, 0..<4, firstLevel: 1)
      for page in 0..<UInt64(20) {
        copyOnWrite(
          story, thread, ipa: story.memory + page * story.page, hva: story.crookedHVA + page * story.page)
      }
    }
    story.unmap(.kswapd, story.crookedHVA)
    let replayed = try story.replay()
    #expect(
      replayed.result.vms.map { $0.slots.map(\.hva) } == [[HVA(story.crookedHVA)], [HVA(story.crookedHVA)]])
    #expect(replayed.result.vms.map { $0.end != nil } == [true, false])
    #expect(replayed.all.last { $0.kind == .unmap }?.vm == 1)
  }

  @Test("A slot whose memory is exchanged is one slot after the other")
  func exchanged() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    for page in 0..<UInt64(20) {
      copyOnWrite(story, ipa: story.memory + page * story.page, hva: story.crookedHVA + page * story.page)
    }
    story.wait(microseconds: 1000)
    let between = story.now
    for page in 0..<UInt64(20) {
      copyOnWrite(story, ipa: story.memory + page * story.page, hva: 0xfe00_0000_0000 + page * story.page)
    }
    #expect(try slots(story).map(\.slot.hva) == [HVA(story.crookedHVA), HVA(0xfe00_0000_0000)])
    let deletion = try #require(try story.replay().all.first { $0.kind == .unmap && $0.size > story.page })
    #expect(deletion.time > Nanoseconds(between - 1))
  }

  @Test("Device accesses are no memory, and part what lies around them")
  func devices() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, story.memory + 3 * story.page)
    story.fault(.vcpu0, story.memory + story.block)
    story.mmio(.vcpu0, story.memory + story.block)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 2 * story.block)
    let slots = try slots(story)
    #expect(slots.map(\.slot.pages) == [4, 1])
    #expect(slots.map(\.slot.base.rawValue) == [0x40000, 0x40400])
  }

  @Test("What came while events were lost places nothing")
  func losses() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.unmap(.kswapd, 0xfd00_0000_0000)
    for page in 0..<UInt64(20) {
      copyOnWrite(story, ipa: story.memory + page * story.page, hva: story.crookedHVA + page * story.page)
    }
    story.loseEvents(cpu: Scenario.Thread.kswapd.cpu)
    story.unmap(.kswapd, 0xfd00_0000_0000)
    #expect(try slots(story).map(\.slot.hva) == [nil])
  }

  @Test("A recorded slot is not inferred unless that is asked for", arguments: [false, true])
  func recorded(infers: Bool) throws {
    let story = Scenario()
    story.options.infersMemslots = infers
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let slot = try #require(try story.replay().result.vms.first?.slots.first)
    #expect(slot.basis == (infers ? .assumed : .recorded) && slot.pages == (infers ? 1 : 1024))
  }
}
