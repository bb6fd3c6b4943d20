import KVMTrace
import KVMTypes
import Testing
import UnnamedFiles

@testable import Stage2Replay

/// Tracing begins while a VM runs: what changes of its slots say of the time before them.
@Suite("Tracing begun in a running VM")
struct MidLifeTests {
  /// A page that the vCPU maps and then writes, before anything tells of a slot.
  private func begin(_ story: Scenario, level: Int = 3, leaf: Int = 3) {
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: level)
    story.handle(.vcpu0, story.memory, .permission, level: leaf, .write)
  }

  private func initialSlots(_ story: Scenario) throws -> [Memslot] {
    try story.replay().result.vms[0].slots
  }

  @Test("A change of flags alone tells the slot before it: the same, but for logging", arguments: [0, 1])
  func flagsOnly(flags: UInt64) throws {
    let story = Scenario()
    begin(story)
    story.run(.kswapd)
    story.unmap(.kswapd, story.crookedHVA)
    story.setFlags(flags, id: 3)
    let slots = try initialSlots(story)
    let earlier = try #require(slots.first)
    #expect(earlier.id == 3 && earlier.pages == 1024 && earlier.hva == HVA(story.crookedHVA))
    #expect(earlier.isLogging == (flags == 0) && earlier.basis == .recorded)
    #expect(slots.count == 2)
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap).first == "unmap 40000000+1000 = 0, derived")
    #expect(replayed.operations(.map).count == 1 && replayed.operations(.relaxPerms).count == 1)
    #expect(replayed.nothing == [:])
  }

  @Test("Faults before logging ended are on pages, and those before it began on blocks", arguments: [0, 1])
  func loggingBefore(flags: UInt64) throws {
    let story = Scenario()
    begin(story, level: 2, leaf: flags == 0 ? 3 : 2)
    story.setFlags(flags, hva: story.congruentHVA)
    let size = flags == 0 ? "1000" : "200000"
    let operations = try story.replay().operations
    // The permission fault shows that the fault before it mapped.
    #expect(operations.first == "map 40000000+\(size) = 0, derived", "\(operations)")
  }

  @Test("The write protection that comes with logging is not predicted for a slot that logged before")
  func loggedBefore() throws {
    let story = Scenario()
    begin(story)
    story.setFlags(0)
    #expect(try story.replay().operations(.wrprotect) == [])
  }

  @Test(
    "While memory is unmapped that is in no known slot, faults may be retried", arguments: [true, false])
  func unmapOfUnknownSlot(isOver: Bool) throws {
    let story = Scenario()
    begin(story)
    story.moveSlot(id: 2, to: 0x8000_0000)
    for page in UInt64(0)..<4 { story.handle(.vcpu0, 0x8000_0000 + page * story.page) }
    story.unmap(.kswapd, 0x1234_5000_0000)
    if isOver { story.run(.kswapd) }
    for _ in 0..<2 { story.handle(.vcpu0, 0x8000_0000 + 9 * story.page) }
    let replayed = try story.replay()
    #expect(replayed.result.divergences.unexplained == (isOver ? 1 : 0), "\(replayed.divergences)")
    let maps = replayed.operations(.map).filter { $0.hasPrefix("map 80009000") && $0.hasSuffix("derived") }
    #expect(maps.count == (isOver ? 1 : 0))
  }

  @Test("A move tells where the slot was, and its memory, which nobody can exchange")
  func moved() throws {
    let story = Scenario()
    begin(story)
    story.unmap(.kswapd, story.crookedHVA)
    story.moveSlot(id: 2, to: 0x8000_0000)
    story.handle(.vcpu0, 0x8000_0000)
    let replayed = try story.replay()
    let earlier = try #require(replayed.result.vms[0].slots.first)
    #expect(earlier.id == 2 && earlier.base == IPA(story.memory).gfn(.size4K))
    #expect(earlier.hva == HVA(story.crookedHVA) && earlier.basis == .assumed)
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, assumed", "relax_perms 40000000 = 0, assumed",
        "unmap 40000000+1000 = 0, assumed", "unmap 40000000+400000 = 0, derived",
        "map 80000000+1000 = 0, assumed",
      ])
  }

  @Test("A deletion tells where the slot was, and nothing of its memory")
  func deleted() throws {
    let story = Scenario()
    begin(story)
    story.deleteSlot()
    let replayed = try story.replay()
    let earlier = try #require(replayed.result.vms[0].slots.first)
    #expect(earlier.hva == nil && earlier.pages == 1024 && earlier.basis == .assumed)
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, assumed", "relax_perms 40000000 = 0, assumed",
        "unmap 40000000+400000 = 0, derived",
      ])
  }

  @Test("Each slot of a VM is known from its own first change on, if that is no creation")
  func severalSlots() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.createSlot(id: 1, ipa: 0x8000_0000, hva: 0xfe00_0000_1000)
    story.handle(.vcpu0, story.memory)
    story.setFlags(1)
    story.setFlags(0)
    story.deleteSlot(ipa: 0x8000_0000)
    let replayed = try story.replay()
    #expect(replayed.result.vms.count == 1 && replayed.result.vms[0].wasRunning)
    #expect(replayed.result.vms[0].slots.map(\.base.rawValue) == [0x40000, 0x80000, 0x40000])
    #expect(replayed.operations(.map) == ["map 40000000+1000 = 0, assumed"])
  }

  @Test("VMs of one thread that ran before the trace are there side by side")
  func severalVMs() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.setFlags(1, kvm: 0xaaaa_0000)
    story.setFlags(1, kvm: 0xbbbb_0000, ipa: 0x8000_0000, hva: 0xfe00_0000_1000)
    story.unmap(.kswapd, story.crookedHVA)
    story.unmap(.kswapd, 0xfe00_0000_1000)
    let replayed = try story.replay()
    #expect(
      replayed.result.vms.map(\.slots.count) == [2, 2] && replayed.result.vms.allSatisfy { $0.end == nil })
    #expect(replayed.operations(.unmap).count == 2)
  }

  @Test("What a lost event may have created was not there before, unless the VM was")
  func losses() throws {
    let story = Scenario()
    story.createSlot(id: 1, ipa: 0x8000_0000)
    story.enter(.vcpu0)
    story.loseEvents(cpu: Scenario.Thread.vmm.cpu)
    story.setFlags(1)
    #expect(try initialSlots(story).map(\.base.rawValue) == [0x80000, 0x40000])
    let running = Scenario()
    running.enter(.vcpu0)
    running.setFlags(1, id: 1, ipa: 0x8000_0000)
    running.loseEvents(cpu: Scenario.Thread.vmm.cpu)
    running.setFlags(1)
    #expect(try initialSlots(running).map(\.base.rawValue) == [0x80000, 0x40000, 0x80000, 0x40000])
    #expect(try initialSlots(running).map(\.basis) == [.recorded, .assumed, .recorded, .recorded])
  }

  @Test("What was created where another slot had been was not there from the beginning")
  func createdMeanwhile() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.setFlags(1, id: 1, ipa: 0x8000_0000)
    story.createSlot()
    story.deleteSlot()
    story.loseEvents(cpu: Scenario.Thread.vmm.cpu)
    story.setFlags(1)
    #expect(try initialSlots(story).map(\.base.rawValue) == [0x80000, 0x80000, 0x40000, 0x40000])
  }

  @Test("An unmap of memory that no slot is known to have may make any fault of a running VM retry")
  func unknownMemory() throws {
    let story = Scenario()
    story.setFlags(1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page)
    story.handle(.vcpu0, story.memory + 2 * story.page)
    story.fault(.vcpu0, story.memory)
    story.unmap(.kswapd, 0xfd00_0000_0000)
    story.enter(.vcpu0)
    let maps = try story.replay().operations(.map)
    #expect(maps.last == "map 40000000+1000 = 0, assumed")
    #expect(maps.contains("map 40001000+1000 = 0, derived"))
  }

  @Test("Faults in slots of which nothing tells are counted, if nothing is to be inferred of them")
  func unknownSlots() throws {
    let story = Scenario()
    // Of a VM whose vCPUs had not run before the first probe nothing is collected.
    story.setFlags(1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, 0x8000_0000)
    #expect(try story.replay().nothing == [.unknownSlots: 1])
  }

  /// Pages that the host copies on write, so that each tells where it lies.
  private func copy(_ story: Scenario, pages: UInt64, ipa: UInt64, hva: UInt64) {
    for page in 0..<pages {
      let (ipa, hva) = (ipa + page * story.page, hva + page * story.page)
      story.handle(.vcpu0, ipa)
      story.fault(.vcpu0, ipa, .permission, level: 3, .write)
      story.unmap(.vcpu0, hva)
      story.enter(.vcpu0)
      story.handle(.vcpu0, ipa, .translation, level: 3, .write)
    }
  }

  @Test("Slots that do not change are inferred beside those that do, each with its basis")
  func completed() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    copy(story, pages: 20, ipa: 0x8000_0000, hva: 0xfd00_0000_1000)
    story.handle(.vcpu0, story.memory)
    story.setFlags(1, id: 1)
    story.unmap(.kswapd, 0xfd00_0000_1000)
    story.unmap(.kswapd, story.crookedHVA)
    let replayed = try story.replay()
    let vm = try #require(replayed.result.vms.first)
    #expect(replayed.result.vms.count == 1 && replayed.nothing[.unknownSlots] == nil)
    #expect(vm.slots.map(\.base.rawValue) == [0x40000, 0x80000, 0x40000])
    #expect(vm.slots.map(\.hva?.rawValue) == [story.crookedHVA, 0xfd00_0000_1000, story.crookedHVA])
    #expect(vm.slots.map(\.basis) == [.recorded, .assumed, .recorded])
    #expect(
      replayed.operations(.unmap).suffix(2) == [
        "unmap 80000000+1000 = 0, assumed", "unmap 40000000+1000 = 0, derived",
      ])
  }

  @Test("Where the memory of a deleted slot was, faults and notifiers tell, and the deletion how far it went")
  func deletedAndPlaced() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    copy(story, pages: 20, ipa: story.memory + 8 * story.page, hva: story.crookedHVA + 8 * story.page)
    story.unmap(.kswapd, story.crookedHVA + 8 * story.page)
    story.deleteSlot()
    let replayed = try story.replay()
    let slot = try #require(replayed.result.vms.first?.slots.first)
    #expect(slot.base.rawValue == 0x40000 && slot.pages == 1024 && slot.hva == HVA(story.crookedHVA))
    #expect(
      replayed.operations.suffix(2) == [
        "unmap 40008000+1000 = 0, assumed", "unmap 40000000+400000 = 0, derived",
      ])
  }

  @Test("A running VM that is given a new slot is not another one for that")
  func hotplug() throws {
    let story = Scenario()
    begin(story)
    story.createSlot(id: 7, ipa: 0x8000_0000)
    story.handle(.vcpu0, 0x8000_0000)
    let replayed = try story.replay()
    #expect(
      replayed.result.vms.count == 1 && replayed.result.vms[0].slots.map(\.basis) == [.assumed, .recorded])
    #expect(replayed.operations(.map).count == 2)
  }

  @Test("A VM that is created beside one of which no probe tells is another one")
  func createdBeside() throws {
    let story = Scenario()
    begin(story)
    story.createSlot()
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory, level: 1)
    story.handle(.vcpu1, story.memory + story.page)
    let replayed = try story.replay()
    #expect(replayed.result.vms.map(\.vcpus) == [[ThreadID(1001)], [ThreadID(1002)]])
    #expect(replayed.result.vms.map { $0.slots.map(\.basis) } == [[.assumed], [.recorded]])
  }

  @Test("A history that begins in the middle of a VM's life leads to the same operations")
  func roundTrip() throws {
    let story = Scenario()
    begin(story)
    story.setFlags(1)
    story.handle(.vcpu0, story.memory, .permission, .write)
    story.moveSlot(to: 0x8000_0000)
    story.handle(.vcpu0, 0x8000_0000)
    let recorded = try story.replay().all
    let file = try UnnamedFile(story.bytes())
    let trace = try TraceFile(path: file.path)
    var survey = MemslotSurvey(pageSize: .size4K)
    var events = trace.events(.replay(probes: false))
    while let run = events.nextRun() { survey.consume(run) }
    story.options.memslots = survey.history
    let given = try story.replay().all
    #expect(
      recorded.map { [$0.kind.name, "\($0.address)"] } == given.map { [$0.kind.name, "\($0.address)"] })
    #expect(survey.history.vms.map(\.isPartial) == [true])
  }
}
