import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// A replay of a part of a trace: what was under way where it begins, no event of it tells.
@Suite("Where a part of a trace begins")
struct PartBeginTests {
  private static let formats = KVMEventFormats.all + StageTwoProbeFormats.all

  /// The replay begins here.
  private func cut(_ story: Scenario) { story.options.from = Nanoseconds(story.now + 1) }

  private func expectNothingUnexplained(_ replayed: Replayed) {
    #expect(!replayed.divergences.contains { $0.contains("unexplained") }, "\(replayed.divergences)")
  }

  /// The probe on `kvm_unmap_gfn_range` for a page of the slot.
  private func name(_ thread: Scenario.Thread, _ story: Scenario, page: UInt64) {
    let gfn = story.memory >> story.pageSize.shift + page
    story.emit(StageTwoProbeFormats.unmapGFN, thread, [0, 0xffff_0000, gfn, gfn + 1])
  }

  @Test(
    "A slot may have been unmapped before the part, though its removal is committed in it",
    arguments: [false, true])
  func removal(isInPart: Bool) throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    cut(story)
    story.enter(.vcpu0)
    if isInPart { story.run(.vmm) }
    story.deleteSlot()
    let basis = isInPart ? "derived" : "assumed"
    #expect(try story.replay().operations(.unmap) == ["unmap 40000000+400000 = 0, \(basis)"])
  }

  @Test(
    "A thread's first notification may be a copy of one from before the part, unless a probe names its VM")
  func firstNotification() throws {
    let story = Scenario(formats: Self.formats)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    cut(story)
    for page in 0..<UInt64(3) {
      story.unmap(page == 1 ? .vmm : .kswapd, story.crookedHVA + page * story.page)
      if page != 1 { name(.kswapd, story, page: page) }
    }
    #expect(
      try story.replay().operations(.unmap)
        == ["unmap 40000000+1000 = 0, assumed", "unmap 40002000+1000 = 0, derived"])
  }

  @Test(
    "Of two events of which a probe names the VM of the second alone, the first came for a VM without slots")
  func unnamedBefore() throws {
    let story = Scenario(formats: Self.formats)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.vmm, story.crookedHVA, bytes: 2 * story.page)
    story.emit(
      StageTwoProbeFormats.unmapGFN, .vmm, [0, 0xffff_0000, story.memory >> 12, story.memory >> 12 + 2])
    story.run(.vmm)
    for _ in 0..<2 { story.unmap(.vmm, story.crookedHVA + 4 * story.page, bytes: 2 * story.page) }
    story.emit(
      StageTwoProbeFormats.unmapGFN, .vmm, [0, 0xffff_0000, story.memory >> 12 + 4, story.memory >> 12 + 6])
    #expect(
      try story.replay().operations(.unmap)
        == ["unmap 40000000+2000 = 0, derived", "unmap 40004000+2000 = 0, derived"])
  }

  @Test("What was mapped before the part took no hypercall in it")
  func mappedBefore() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    cut(story)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    story.handle(.vcpu0, story.memory + story.page)
    let replayed = try story.replay()
    #expect(replayed.all.map(\.kind) == [.relaxPerms, .map])
    #expect(replayed.result.vms[0].hypercalls?[.hostShareGuest] == 1)
    #expect(replayed.result.vms[0].memory.mappings.peak == 2)
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

  /// A vCPU's fault of before the part goes on in it, while another vCPU finds that memory empty, and maps a page there, which that one
  /// meets when the fault is over.
  private func unseenFaultStory(
    beginning: (Scenario) -> Void = { _ in }, ending: (Scenario) -> Void
  ) -> Scenario {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.fault(.vcpu1, story.memory, level: 1, .write)
    cut(story)
    beginning(story)
    story.exit(.vcpu0, exceptionClass: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.block, level: 1, .write)
    ending(story)
    story.handle(.vcpu0, story.memory, .permission, level: 3, .exec)
    return story
  }

  @Test("A fault that was under way may map what another one found empty")
  func unseenFault() throws {
    let story = unseenFaultStory(ending: { $0.enter(.vcpu1) })
    expectNothingUnexplained(try story.replay())
  }

  @Test("A fault that was under way may map what another one found empty though its thread notifies first")
  func unseenCopyOnWrite() throws {
    let story = unseenFaultStory(
      beginning: { $0.unmap(.vcpu1, $0.congruentHVA) }, ending: { $0.enter(.vcpu1) })
    expectNothingUnexplained(try story.replay())
  }

  @Test("An unmap whose event came before the part may make faults retry long after others have got on")
  func untoldUnmap() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.kswapd, story.crookedHVA)
    cut(story)
    for page in [1, 2, 3, 4, 4, 4, 5] as [UInt64] {
      story.handle(.vcpu0, story.memory + page * story.page, .translation, .write)
    }
    let replayed = try story.replay()
    expectNothingUnexplained(replayed)
    #expect(
      replayed.operations(.map)
        == (1...5).map { "map 4000\($0)000+1000 = 0, \($0 == 1 || $0 == 5 ? "assumed" : "derived")" })
    #expect(replayed.nothing == [.faultedAgain: 2])
  }

  @Test("An unmap from before the part is over when its thread does anything else, in the part or before")
  func untoldUnmapOver() throws {
    for isInPart in [false, true] {
      let story = Scenario()
      story.createSlot()
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: 1)
      story.unmap(.kswapd, story.crookedHVA)
      if !isInPart { story.run(.kswapd) }
      cut(story)
      if isInPart { story.run(.kswapd) }
      for page in [1, 2, 3, 4, 4] as [UInt64] {
        story.handle(.vcpu0, story.memory + page * story.page, .translation, .write)
      }
      #expect(try story.replay().divergences.contains { $0.contains("D1 unexplained") })
    }
  }

  @Test("A fault that was not seen may put a block in the place of pages, which others do not find meanwhile")
  func unseenBlock() throws {
    let story = Scenario()
    story.profile = Profile(path: .traditional, era: .v7_3)
    story.profile.hasHardwareAF = false
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.fault(.vcpu1, story.memory, .permission, level: 3, .write)
    cut(story)
    story.exit(.vcpu0, exceptionClass: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page, level: 3, .write)
    for _ in 0..<2 { story.handle(.vcpu0, story.memory + 2 * story.page, level: 2, .write) }
    story.enter(.vcpu1)
    let replayed = try story.replay()
    expectNothingUnexplained(replayed)
    #expect(replayed.divergences.contains { $0.hasPrefix("D1") }, "\(replayed.divergences)")
  }

  @Test("A fault that was not seen may end with KVM_RUN")
  func unseenFaultOfKVMRun() throws {
    let story = unseenFaultStory(ending: { $0.exitToVMM(.vcpu1, reason: 10, errno: -4) })
    expectNothingUnexplained(try story.replay())
  }

  @Test("What a fault found may have changed before the part, if its vCPU was in the guest since before that")
  func entryBefore() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    cut(story)
    story.handle(.vcpu0, story.memory + story.page)
    story.handle(.vcpu0, story.memory + 2 * story.page)
    #expect(
      try story.replay().operations(.map)
        == ["map 40001000+1000 = 0, assumed", "map 40002000+1000 = 0, derived"])
  }

  @Test("A block that two faults met and that the first of them broke does not come back")
  func brokenBlock() throws {
    let story = Scenario()
    story.profile = Profile(path: .traditional, era: .v7_3)
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.setFlags(1, hva: story.congruentHVA)
    cut(story)
    for vcpu in [Scenario.Thread.vcpu0, .vcpu1] {
      story.exit(vcpu, exceptionClass: 1)
      story.enter(vcpu)
    }
    story.fault(.vcpu0, story.memory + 3 * story.page, .permission, level: 2, .write)
    story.fault(.vcpu1, story.memory + 5 * story.page, .permission, level: 2, .write)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory + 5 * story.page, level: 3, .write)
    expectNothingUnexplained(try story.replay())
  }

  @Test(
    "Who faults again at level 1 as long as another fault there lasts lost to it, though no such leaf was met yet"
  )
  func firstGigabyte() throws {
    let story = PUDBlockTests.story()
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + PUDBlockTests.gib, level: 0, .write)
    story.fault(.vcpu1, story.memory, level: 1, .write)
    for _ in 0..<3 { story.handle(.vcpu0, story.memory + 5 * story.block, level: 1, .write) }
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + 5 * story.block, .permission, level: 1, .exec)
    let replayed = try story.replay()
    expectNothingUnexplained(replayed)
    let maps = replayed.operations(.map)
    // Of the last one nothing tells: it gets on.
    #expect(maps.count { $0.contains("= -11, assumed") } == 2, "\(maps)")
  }

  @Test("Who faults again at level 1 lost to another fault there that goes on, though it began first")
  func laterFirst() throws {
    let story = PUDBlockTests.story()
    story.enter(.vcpu1)
    cut(story)
    story.exit(.vcpu0, exceptionClass: 1)
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory + 5 * story.block, level: 1, .write)
    story.fault(.vcpu1, story.memory, level: 1, .write)
    story.enter(.vcpu0)
    for _ in 0..<3 { story.handle(.vcpu0, story.memory + 5 * story.block, level: 1, .write) }
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + 5 * story.block, .permission, level: 1, .exec)
    let replayed = try story.replay()
    expectNothingUnexplained(replayed)
    #expect(
      replayed.operations(.map).count { $0.contains("= -11, assumed") } >= 3, "\(replayed.operations(.map))")
  }

  @Test("Who finds no table where another fault, which is under way, had found one lost to a block of 1 GiB")
  func replacedTables() throws {
    let story = PUDBlockTests.story()
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    cut(story)
    story.exit(.vcpu1, exceptionClass: 1)
    story.enter(.vcpu1)
    story.fault(.vcpu1, story.memory, .permission, level: 3, .write)
    for _ in 0..<4 { story.handle(.vcpu0, story.memory + 5 * story.block, level: 1, .write) }
    story.enter(.vcpu1)
    let replayed = try story.replay()
    expectNothingUnexplained(replayed)
    #expect(
      replayed.operations(.map).count { $0.contains("= -11, assumed") } >= 3, "\(replayed.operations(.map))")
  }

  /// A vCPU's fault on a page is under way where the part begins, and another vCPU gets on.
  private func openFaultStory() -> Scenario {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory + 9 * story.page, level: 1)
    story.fault(.vcpu1, story.memory + story.page)
    cut(story)
    story.exit(.vcpu0, exceptionClass: 1)
    story.enter(.vcpu0)
    for page in [2, 3] as [UInt64] { story.handle(.vcpu0, story.memory + page * story.page) }
    return story
  }

  @Test("A fault that was under way may have mapped a page before the next one did")
  func unseenRival() throws {
    let story = openFaultStory()
    story.handle(.vcpu0, story.memory + story.page)
    story.handle(.vcpu0, story.memory + 4 * story.page)
    story.enter(.vcpu1)
    let maps = try story.replay().operations(.map)
    #expect(maps.first { $0.hasPrefix("map 40001000") } == "map 40001000+1000 = 0, assumed")
  }

  @Test("An unmap that waits for mmu_lock may take what was mapped meanwhile, from before the part or in it")
  func unmapAfterMap() throws {
    for isAhead in [true, false] {
      let story = Scenario()
      story.createSlot()
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory + 9 * story.page, level: 1)
      story.unmap(.kswapd, story.crookedHVA + story.page)
      if isAhead { cut(story) }
      story.exit(.vcpu0, exceptionClass: 1)
      story.enter(.vcpu0)
      for page in [1, 2] as [UInt64] { story.handle(.vcpu0, story.memory + page * story.page) }
      story.run(.kswapd)
      for page in [3, 1] as [UInt64] { story.handle(.vcpu0, story.memory + page * story.page) }
      expectNothingUnexplained(try story.replay())
    }
  }

  @Test("Of a VM that ran before, memory may be unmapped that no fault of the part has touched yet")
  func unmapOfUntouched() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    cut(story)
    story.enter(.vcpu0)
    for page in [0, 1] as [UInt64] {
      story.handle(.vcpu0, story.memory + story.block + page * story.page)
    }
    story.unmap(.kswapd, story.crookedHVA)
    story.run(.kswapd)
    story.fault(.vcpu0, story.memory, .permission, .write)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, .write)
    expectNothingUnexplained(try story.replay())
  }

  @Test("That EL2 is told of a vCPU is counted, though its first fault shows a leaf that was missing")
  func firstVCPU() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory + story.page, .permission, .exec)
    story.handle(.vcpu1, story.memory + 2 * story.page)
    #expect(try story.replay().result.vms[0].hypercalls?[.initVCPU] == 2)
  }
}
