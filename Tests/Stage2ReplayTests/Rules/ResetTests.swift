import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// vCPUs that are initialised again (KVM_ARM_VCPU_INIT), which no event tells.
@Suite("Resets")
struct ResetTests {
  /// A VM of two vCPUs that boots at its first page, and has a page of a second slot.
  private func story(
    formats: [TraceSynth.EventFormat] = KVMEventFormats.all, _ change: (Scenario) -> Void = { _ in }
  ) -> Scenario {
    let story = Scenario(formats: formats)
    change(story)
    story.createSlot()
    story.createSlot(id: 1, ipa: device(story), pages: 16, hva: 0xfe00_0000_1000)
    boot(story)
    story.enter(.vcpu1)
    story.handle(.vcpu1, device(story), level: 2)
    return story
  }

  private func device(_ story: Scenario) -> UInt64 { story.memory + 0x1000_0000 }

  /// The first vCPU enters and executes its first instruction.
  private func boot(_ story: Scenario, level: Int = 1) {
    story.enter(.vcpu0, pc: story.memory)
    story.handle(.vcpu0, story.memory, level: level, .exec, pc: story.memory)
  }

  private func stop(_ story: Scenario) {
    story.stop(.vcpu1)
    story.stop(.vcpu0)
  }

  private let first = "map 40000000+1000 = 0, derived"
  private let second = "map 50000000+1000 = 0, derived"
  private let round = ["unmap 40000000+400000 = 0, assumed", "unmap 50000000+10000 = 0, assumed"]

  @Test("All slots are unmapped, once for each vCPU; the guest faults its memory in again")
  func reset() throws {
    let story = story()
    stop(story)
    boot(story)
    story.handle(.vcpu0, story.memory + story.page, .translation, level: 3, pc: story.memory)
    // PSCI starts the other one elsewhere, which unmaps nothing.
    story.enter(.vcpu1, pc: story.memory + 0x80)
    story.handle(.vcpu1, device(story), level: 2, pc: story.memory + 0x80)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [first, second] + round + round + [
        first, "map 40001000+1000 = 0, derived", second,
      ])
    #expect(replayed.divergences == [])
    #expect(replayed.result.vms[0].memory.mappings.live == 3)
    #expect(replayed.result.vms[0].memory.mappings.peak == 3)
    #expect(replayed.result.vms[0].resets.map(\.vcpus) == [2])
    // It is the VMM that asks for it, after the last vCPU has stopped.
    #expect(replayed.all.filter { $0.kind == .unmap }.allSatisfy { $0.tid == ThreadID(1000) })
  }

  @Test("Slots come in the order of the buckets of their numbers, then of their last change")
  func order() throws {
    let story = Scenario()
    // Buckets 0, 48, 97 and 18, and 0 once more.
    for (number, id) in ([0, 1, 2, 3, 144] as [UInt64]).enumerated() {
      story.createSlot(
        id: id, ipa: story.memory + UInt64(number) * 0x1000_0000, pages: 16,
        hva: 0xfd00_0000_1000 + UInt64(number) << 32)
    }
    boot(story)
    story.stop(.vcpu0)
    boot(story)
    let order = try story.replay().all.filter { $0.kind == .unmap }.map { $0.address.rawValue >> 28 }
    #expect(order == [8, 4, 7, 5, 6])
  }

  @Test("With FEAT_S2FWB nothing is unmapped")
  func forcedWriteBack() throws {
    let story = story { $0.profile.hasFWB = true }
    stop(story)
    boot(story)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap) == [])
    #expect(replayed.divergences == ["D1 unexplained"])
  }

  @Test("A vCPU that goes on elsewhere and does not fault there, or finds tables, was not initialised")
  func noReset() throws {
    let runs = story()
    stop(runs)
    runs.enter(.vcpu0, pc: runs.memory)
    runs.handle(.vcpu0, runs.memory + runs.page, level: 3)
    #expect(try runs.replay().operations(.unmap) == [])
    let tables = story()
    stop(tables)
    tables.enter(.vcpu0, pc: tables.memory + tables.page)
    tables.handle(.vcpu0, tables.memory + tables.page, level: 3, .exec, pc: tables.memory + tables.page)
    let replayed = try tables.replay()
    #expect(replayed.operations(.unmap) == [] && replayed.divergences == [])
  }

  @Test("Which of the vCPUs enters first says nothing of which is the first to fetch")
  func secondFetchesFirst() throws {
    let story = story()
    stop(story)
    story.enter(.vcpu1, pc: story.memory)
    boot(story)
    story.exit(.vcpu1, exceptionClass: 0x01, pc: story.memory + 8)
    let replayed = try story.replay()
    #expect(replayed.operations == [first, second] + round + round + [first])
    #expect(replayed.divergences == [])
  }

  @Test("A vCPU that got on where it went was not initialised, though all was unmapped later")
  func gotOn() throws {
    let story = story()
    stop(story)
    story.enter(.vcpu0, pc: story.memory)
    story.exit(.vcpu0, exceptionClass: 0x01, pc: story.memory + 8)
    story.unmap(.kswapd, story.crookedHVA, bytes: 1024 * story.page)
    story.unmap(.kswapd, 0xfe00_0000_1000, bytes: 16 * story.page)
    story.enter(.vcpu0, pc: story.memory + 8)
    story.handle(.vcpu0, story.memory, level: 1, .exec, pc: story.memory)
    #expect(try story.replay().operations(.unmap).count == 2)
  }

  @Test("A vCPU that goes on where it left was not initialised, though all was unmapped")
  func samePlace() throws {
    let story = story()
    story.unmap(.kswapd, story.crookedHVA, bytes: 1024 * story.page)
    story.unmap(.kswapd, 0xfe00_0000_1000, bytes: 16 * story.page)
    story.stop(.vcpu1)
    story.stop(.vcpu0, pc: story.memory)
    boot(story)
    #expect(try story.replay().operations(.unmap).count == 2)
  }

  @Test("While another vCPU is in KVM_RUN, PSCI moves vCPUs, and that unmaps nothing")
  func powerStateCoordination() throws {
    let story = story()
    story.unmap(.kswapd, story.crookedHVA, bytes: 1024 * story.page)
    story.unmap(.kswapd, 0xfe00_0000_1000, bytes: 16 * story.page)
    story.stop(.vcpu0)
    boot(story)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap).count == 2)
    #expect(replayed.divergences == [])
  }

  @Test("An interrupt before the first fetch, and vCPUs that are powered off")
  func beforeTheFirstFetch() throws {
    let story = story()
    let third = Scenario.Thread(tid: 1003, cpu: 2)
    story.exitToVMM(third, reason: 10, errno: -4)
    stop(story)
    story.enter(.vcpu0, pc: story.memory)
    story.exit(.vcpu0, exceptionClass: 0, pc: story.memory)
    boot(story)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap) == round + round + round)
    #expect(replayed.divergences == [])
  }

  @Test("KVM_RUN that returns at once while the machine is reset does not move the moment")
  func moment() throws {
    let story = story()
    stop(story)
    let stopped = story.now
    story.exitToVMM(.vcpu0, reason: 10, errno: -4)
    boot(story)
    let replayed = try story.replay()
    #expect(replayed.all.filter { $0.kind == .unmap }.allSatisfy { $0.time.rawValue == stopped })
  }

  @Test("KVM_RUN that completes a read of a device came before: the vCPU would not be as it was initialised")
  func completedRead() throws {
    let story = story()
    stop(story)
    story.unmap(.vmm, story.crookedHVA + 4 * story.page)
    story.emit(KVMEventFormats.mmio, .vcpu0, [1, 4, device(story) + 0x1000_0000, 0])
    story.exitToVMM(.vcpu0, errno: -4)
    let completed = story.now
    story.exitToVMM(.vcpu0, reason: 10, errno: -4)
    boot(story)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap) == ["unmap 40004000+1000 = 0, derived"] + round + round)
    #expect(
      replayed.all.filter { $0.kind == .unmap }.dropFirst().allSatisfy { $0.time.rawValue == completed })
  }

  @Test("An age between the last vCPU's stop and its next entry may have come before or after")
  func age() throws {
    let story = story()
    stop(story)
    story.age(.kswapd, story.crookedHVA)
    boot(story)
    story.age(.kswapd, story.crookedHVA + 4 * story.page)
    #expect(
      try story.replay().operations(.testClearYoung) == [
        "test_clear_young 40000000+1000 = 0, assumed", "test_clear_young 40004000+1000 = 0, derived",
      ])
  }

  @Test("A fault before is not taken for one that had to retry because the first page faults again")
  func waitingFault() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0, pc: story.memory)
    story.fault(.vcpu0, story.memory, level: 1, .exec, pc: story.memory)
    story.unmap(.kswapd, story.crookedHVA + 4 * story.page)
    story.enter(.vcpu0, pc: story.memory)
    story.stop(.vcpu0)
    boot(story)
    let replayed = try story.replay()
    let unsure = "map 40000000+1000 = 0, assumed"
    #expect(replayed.operations(.map) == [unsure, unsure])
    #expect(replayed.operations(.unmap).last == round[0])
    #expect(replayed.nothing == [:])
  }

  @Test("More happens meanwhile than is looked ahead")
  func beyondLookahead() throws {
    let story = story { $0.options.lag = 4 }
    stop(story)
    for number in 0..<UInt64(8) { story.testAge(.kswapd, story.crookedHVA + number * story.page) }
    boot(story)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap) == round + round)
    #expect(replayed.divergences == [])
  }

  @Test("The vGIC's memory stays: walks stop where the first one of the VM did")
  func memoryOfNoSlot() throws {
    let story = Scenario()
    story.profile.path = .traditional
    story.createSlot()
    boot(story, level: 2)
    // Elsewhere the table begins higher up.
    story.createSlot(id: 1, ipa: story.memory + 0x4000_0000, hva: 0xfe00_0000_1000)
    story.handle(.vcpu0, story.memory + 0x4000_0000, level: 1, pc: story.memory)
    story.stop(.vcpu0)
    boot(story, level: 2)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap).count == 2)
    #expect(replayed.result.vms[0].resets.count == 1)
  }

  @Test(
    "A thread that goes on with a vCPU of another VM of its process was not initialised; other processes do not matter"
  )
  func newVM() throws {
    for (creator, unmaps) in [(Scenario.Thread.vmm, 0), (Scenario.Thread(tid: 2000, cpu: 2), 4)] {
      let story = story(formats: Scenario.markedFormats) { $0.createVM() }
      stop(story)
      story.createSlot(creator, kvm: 0xffff_8000, ipa: 0x9000_0000, hva: 0xfc00_0000_1000)
      boot(story)
      #expect(try story.replay().operations(.unmap).count == unmaps)
    }
  }

  @Test("A protected guest keeps its memory")
  func protected() throws {
    let story = story { $0.profile.isProtected = true }
    stop(story)
    boot(story)
    #expect(try story.replay().operations(.unmap) == [])
  }

  @Test("Behind a gap it is not known where the vCPU left")
  func gap() throws {
    let story = story()
    stop(story)
    story.loseEvents(cpu: 0)
    boot(story)
    #expect(try story.replay().operations(.unmap) == [])
  }
}
