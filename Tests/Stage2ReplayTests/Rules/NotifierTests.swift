import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// The MMU notifier speaks of host addresses, once for every VM of an address space.
@Suite("MMU notifiers")
struct NotifierTests {
  /// A VM whose vCPU is in the guest and has mapped the first page.
  static func running(_ pageSize: PageSize = .size4K, pages: UInt64 = 1024) -> Scenario {
    let story = Scenario(pageSize)
    story.createSlot(pages: pages)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    return story
  }

  static let old = "test_clear_young 40000000+1000 = 0, derived"
  static let young = "test_clear_young 40000000+1000 = 1, assumed"

  // MARK: Ranges

  @Test("A range is rounded outwards to the slot's pages, and is one operation for each slot")
  func slots() throws {
    let story = Scenario()
    let hva = story.crookedHVA
    story.createSlot(pages: 16)
    story.createSlot(id: 1, ipa: 0x8000_0000, pages: 16, hva: hva + 16 * story.page)
    story.unmap(.kswapd, hva + 15 * story.page + 0x10, bytes: story.page)
    story.age(.kswapd, hva + 3 * story.page + 0x10, bytes: story.page)
    story.testAge(.kswapd, hva + 5 * story.page + 0x10)
    #expect(
      try story.replay().operations == [
        "unmap 4000f000+1000 = 0, derived", "unmap 80000000+1000 = 0, derived",
        "test_clear_young 40003000+2000 = 0, derived", "test_clear_young 40005000+1000 = 0, derived",
      ])
  }

  @Test("Two slots of the same host memory both lose it")
  func aliases() throws {
    let story = Scenario()
    story.createSlot()
    story.createSlot(id: 1, ipa: 0x8000_0000)
    story.unmap(.kswapd, story.crookedHVA)
    #expect(
      try story.replay().operations
        == ["unmap 40000000+1000 = 0, derived", "unmap 80000000+1000 = 0, derived"])
  }

  @Test(
    "A range that no slot holds does nothing, nor does one without bytes or one that ends before it starts")
  func elsewhere() throws {
    let story = Self.running()
    story.unmap(.kswapd, 0x1000, bytes: 0x10000)
    story.unmap(.kswapd, story.crookedHVA, bytes: 0)
    story.age(.kswapd, story.crookedHVA + story.page, bytes: 0 &- story.page)
    story.unmap(.kswapd, story.crookedHVA + 1024 * story.page)
    #expect(try story.replay().operations == ["map 40000000+1000 = 0, derived"])
  }

  @Test("Unmaps go in chunks of 1 GiB with 4 KiB pages, cut at multiples of the chunk")
  func chunks() throws {
    let story = Scenario()
    story.createSlot(pages: 0x90000)
    story.unmap(.kswapd, story.crookedHVA + 0x1000_0000, bytes: 0x7000_0000)
    #expect(
      try story.replay().operations
        == ["unmap 50000000+30000000 = 0, derived", "unmap 80000000+40000000 = 0, derived"])
  }

  @Test("Unmaps go in chunks of 32 MiB with 16 KiB pages")
  func chunksOf16K() throws {
    let story = Scenario(.size16K)
    story.createSlot(pages: 0x1000)
    story.unmap(.kswapd, story.crookedHVA + 0x100_0000, bytes: 0x200_0000)
    #expect(
      try story.replay().operations
        == ["unmap 41000000+1000000 = 0, derived", "unmap 42000000+1000000 = 0, derived"])
  }

  @Test("Unmaps go in chunks of 512 MiB with 64 KiB pages")
  func chunksOf64K() throws {
    let story = Scenario(.size64K)
    story.createSlot(pages: 0x4000)
    story.unmap(.kswapd, story.crookedHVA, bytes: 0x4000_0000)
    #expect(
      try story.replay().operations
        == ["unmap 40000000+20000000 = 0, derived", "unmap 60000000+20000000 = 0, derived"])
  }

  @Test("Ages are never cut")
  func agesAreWhole() throws {
    let story = Scenario()
    story.createSlot(pages: 0x90000)
    story.age(.kswapd, story.crookedHVA, bytes: 0x9000_0000)
    #expect(try story.replay().operations == ["test_clear_young 40000000+90000000 = 0, derived"])
  }

  // MARK: Copies for other VMs

  @Test("A page is never aged twice running: the second event is that of a VM without slots")
  func copies() throws {
    let story = Self.running()
    for page in 0..<3 {
      story.age(.kswapd, story.crookedHVA + UInt64(page) * story.page)
      story.age(.kswapd, story.crookedHVA + UInt64(page) * story.page)
    }
    #expect(
      try story.replay().operations(.testClearYoung) == [
        Self.young, "test_clear_young 40001000+1000 = 0, derived",
        "test_clear_young 40002000+1000 = 0, derived",
      ])
  }

  @Test("Where pages showed two VMs in the address space, unmaps and ages of blocks come twice as well")
  func copiesOfRanges() throws {
    let story = Self.running()
    for _ in 0..<2 { story.age(.kswapd, story.crookedHVA) }
    for _ in 0..<4 { story.age(.kswapd, story.crookedHVA, bytes: 16 * story.page) }
    for _ in 0..<2 { story.unmap(.kswapd, story.crookedHVA, bytes: 16 * story.page) }
    let replayed = try story.replay()
    #expect(replayed.operations(.testClearYoung).count == 3)
    #expect(replayed.operations(.unmap).count == 1)
  }

  @Test("Once the second VM is gone, events count singly again")
  func copiesEnd() throws {
    let story = Self.running()
    for _ in 0..<2 { story.age(.kswapd, story.crookedHVA) }
    story.age(.kswapd, story.crookedHVA + story.page)
    story.age(.kswapd, story.crookedHVA + 2 * story.page)
    for _ in 0..<2 { story.age(.kswapd, story.crookedHVA, bytes: 16 * story.page) }
    #expect(try story.replay().operations(.testClearYoung).count == 5)
  }

  @Test("Ranges repeat in earnest; so do pages with another event of the thread in between")
  func genuineRepetition() throws {
    let story = Self.running()
    for _ in 0..<2 { story.age(.kswapd, story.crookedHVA, bytes: 16 * story.page) }
    story.age(.kswapd, story.crookedHVA)
    story.testAge(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA)
    #expect(try story.replay().operations(.testClearYoung).count == 5)
  }

  // MARK: The end of a VM

  @Test("Once a VM's vCPUs have left for good, ages and unmaps have no effect")
  func afterTheEnd() throws {
    let story = Self.running()
    story.age(.kswapd, story.crookedHVA)
    story.exitToVMM(.vcpu0)
    story.age(.kswapd, story.crookedHVA + story.page)
    story.unmap(.kswapd, story.crookedHVA)
    #expect(try story.replay().operations == ["map 40000000+1000 = 0, derived", Self.young])
  }

  @Test("An idle vCPU inside KVM_RUN keeps its VM alive")
  func idle() throws {
    let story = Self.running()
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory + story.page)
    story.exitToVMM(.vcpu0)
    story.age(.kswapd, story.crookedHVA)
    #expect(try story.replay().operations(.testClearYoung) == [Self.young])
  }

  @Test("A vCPU that comes back, or a thread of the VMM that notifies, shows that the VM was alive")
  func aliveAfterAll() throws {
    let back = Self.running()
    back.exitToVMM(.vcpu0)
    back.age(.kswapd, back.crookedHVA)
    back.enter(.vcpu0)
    #expect(try back.replay().operations(.testClearYoung) == [Self.young])

    let notifying = Self.running()
    notifying.exitToVMM(.vcpu0)
    notifying.age(.kswapd, notifying.crookedHVA)
    notifying.unmap(.vmm, 0x1000_0000)
    #expect(try notifying.replay().operations(.testClearYoung) == [Self.young])
  }

  // MARK: Answers

  @Test("Without a hardware access flag an aged page stays old until a fault, and that is certain")
  func answers() throws {
    let story = Self.running()
    story.age(.kswapd, story.crookedHVA)
    story.testAge(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA)
    #expect(try story.replay().operations(.testClearYoung) == [Self.young, Self.old, Self.old])
  }

  @Test("With one, only a page that is not mapped is certainly old")
  func answersOfHardware() throws {
    let story = Self.running()
    story.profile.hasHardwareAF = true
    story.age(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA + story.page)
    story.testAge(.kswapd, story.crookedHVA)
    let answers = try story.replay().operations(.testClearYoung)
    #expect(answers[1] == "test_clear_young 40001000+1000 = 0, derived")
    #expect(answers[2].hasSuffix("assumed"))
  }

  @Test("The answer is not certain while a fault on the region is open")
  func answerDuringFault() throws {
    let story = Self.running()
    story.fault(.vcpu0, story.memory + story.page)
    story.testAge(.kswapd, story.crookedHVA + story.page)
    story.enter(.vcpu0)
    #expect(
      try story.replay().operations(.testClearYoung) == ["test_clear_young 40001000+1000 = 0, assumed"])
  }

  @Test("While a slot moves, its memory is aged at the one place or at the other")
  func ageOfAMovingSlot() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page)
    story.age(.kswapd, story.crookedHVA)
    // The VMM's last event before the commit: the move may have begun by then.
    story.unmap(.vmm, 0xee00_0000_0000)
    story.age(.kswapd, story.crookedHVA + 2 * story.page)
    story.moveSlot(to: 0x8000_0000)
    story.age(.kswapd, story.crookedHVA + 3 * story.page)
    let ages = try story.replay().operations(.testClearYoung)
    #expect(
      ages == [
        "test_clear_young 40000000+1000 = 0, derived", "test_clear_young 40002000+1000 = 0, assumed",
        "test_clear_young 80003000+1000 = 0, derived",
      ])
  }

  // MARK: VMMs side by side

  /// Two VMs of two processes, each with one vCPU that has mapped its first page.
  private func twoProcesses() -> (story: Scenario, other: Scenario.Thread) {
    let story = Scenario()
    let other = Scenario.Thread(tid: 2000, cpu: 3)
    let otherVCPU = Scenario.Thread(tid: 2001, cpu: 1)
    story.createSlot(.vmm, kvm: 0xa000)
    story.createSlot(other, kvm: 0xb000, hva: 0xee00_4000_1000)
    story.enter(.vcpu0)
    story.enter(otherVCPU)
    story.handle(.vcpu0, story.memory)
    story.handle(otherVCPU, story.memory)
    return (story, other)
  }

  @Test(
    "A VMM's thread unmaps its own memory; a range that no folio has is not another VMM's, whatever its address"
  )
  func otherProcess() throws {
    for (pages, count) in [(UInt64(3), 0), (1, 1)] {
      let (story, other) = twoProcesses()
      story.unmap(other, story.crookedHVA, bytes: pages * story.page)
      let unmaps = try story.replay().operations(.unmap)
      #expect(unmaps.count == count)
      // In reclaim it may be.
      #expect(unmaps.allSatisfy { $0.hasSuffix("assumed") })
    }
  }

  @Test("In how many copies notifications come in one process says nothing of another")
  func copiesOfProcess() throws {
    let (story, other) = twoProcesses()
    for page in 1..<3 as Range<UInt64> {
      for _ in 0..<3 { story.age(.vmm, story.crookedHVA + page * story.page) }
    }
    for page in 1..<4 as Range<UInt64> { story.age(other, 0xee00_4000_1000 + page * story.page) }
    for _ in 0..<3 { story.unmap(.vmm, story.crookedHVA, bytes: 3 * story.page) }
    #expect(try story.replay().operations(.unmap) == ["unmap 40000000+3000 = 0, derived"])
  }

  @Test("Before it is known how many VMs share the address space, a range that repeats is an assumption")
  func openRepetition() throws {
    let story = Self.running()
    for _ in 0..<2 { story.unmap(.kswapd, story.crookedHVA, bytes: 16 * story.page) }
    for page in 1..<8 as Range<UInt64> { story.age(.kswapd, story.crookedHVA + page * story.page) }
    for _ in 0..<2 { story.unmap(.kswapd, story.crookedHVA, bytes: 16 * story.page) }
    #expect(
      try story.replay().operations(.unmap) == [
        "unmap 40000000+10000 = 0, derived", "unmap 40000000+10000 = 0, assumed",
        "unmap 40000000+10000 = 0, derived", "unmap 40000000+10000 = 0, derived",
      ])
  }

  @Test("What a thread of the host's own does may be about either; what a VMM does to its own slots is not")
  func hostThread() throws {
    let (story, other) = twoProcesses()
    story.unmap(.kswapd, story.crookedHVA)
    story.unmap(other, 0xee00_4000_1000)
    story.unmap(.vmm, story.crookedHVA + story.page, bytes: 3 * story.page)
    #expect(
      try story.replay().operations(.unmap) == [
        "unmap 40000000+1000 = 0, assumed", "unmap 40000000+1000 = 0, derived",
        "unmap 40001000+3000 = 0, derived",
      ])
  }

  @Test("What the host does to a VM after the last act of its own threads may have met its end")
  func dyingVM() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.createVM()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.kswapd, story.crookedHVA)
    story.destroyVM()
    // The next VM of the VMM.
    story.createVM()
    story.createSlot(hva: story.crookedHVA + story.block)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory, level: 1)
    // Its memory was being given back.
    #expect(try story.replay().operations(.unmap) == [])
  }

  @Test(
    "A thread that creates a VM of its own does not unmap another's memory, though its VM has no slots yet")
  func startingVMM() throws {
    let story = Scenario()
    let other = Scenario.Thread(tid: 2000, cpu: 3)
    story.createSlot(.vmm, kvm: 0xa000)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(other, story.crookedHVA, bytes: 3 * story.page)
    story.unmap(.kswapd, story.crookedHVA + 8 * story.page, bytes: 3 * story.page)
    story.createSlot(other, kvm: 0xb000, hva: 0xee00_4000_1000)
    #expect(try story.replay().operations(.unmap) == ["unmap 40008000+3000 = 0, derived"])
  }

  @Test("A page that is aged twice in a row is aged twice, where all pages before came once")
  func agedTwice() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    for page in 1..<8 { story.age(.kswapd, story.crookedHVA + UInt64(page) * story.page) }
    story.age(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA + story.page)
    #expect(
      try story.replay().operations(.testClearYoung).suffix(3) == [
        "test_clear_young 40000000+1000 = 1, assumed", "test_clear_young 40000000+1000 = 0, derived",
        "test_clear_young 40001000+1000 = 0, derived",
      ])
  }

  @Test("A VM that appears in the address space is seen by its copies")
  func copiesAppear() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    story.createVM()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    for page in 1..<8 { story.age(.kswapd, story.crookedHVA + UInt64(page) * story.page) }
    story.createVM(kvm: 0xffff_8000)
    story.createSlot(kvm: 0xffff_8000, ipa: 0x8000_0000, hva: 0xee00_4000_1000)
    for page in 0..<8 {
      for _ in 0..<2 { story.age(.kswapd, story.crookedHVA + UInt64(page) * story.page) }
    }
    let operations = try story.replay().operations(.testClearYoung)
    #expect(operations.count == 15, "\(operations)")
  }
}
