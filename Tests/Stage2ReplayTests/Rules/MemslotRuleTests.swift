import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// VMs and their slots, which events announce a little late.
@Suite("Memslots and VMs")
struct MemslotRuleTests {
  @Test("A slot is in force before its commit: a fault that found none belongs to the one that comes")
  func activeBeforeCommit() throws {
    let story = Scenario()
    let other = story.memory + 0x1000_0000
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, other)
    story.createSlot(id: 1, ipa: other, hva: 0xfe00_0000_1000)
    #expect(try story.replay().operations == ["map 50000000+1000 = 0, derived"])
  }

  @Test("A fault whose window is open when the slot's commit comes belongs to the slot")
  func commitInsideWindow() throws {
    let story = Scenario()
    let other = story.memory + 0x1000_0000
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, other)
    story.createSlot(id: 1, ipa: other, hva: 0xfe00_0000_1000)
    story.enter(.vcpu0)
    #expect(try story.replay().operations == ["map 50000000+1000 = 0, derived"])
  }

  @Test("A fault that became MMIO does not belong to a slot that comes later")
  func mmioBeforeCommit() throws {
    let story = Scenario()
    let other = story.memory + 0x1000_0000
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, other, .translation, .write)
    story.mmio(.vcpu0, other)
    story.enter(.vcpu0)
    story.createSlot(id: 1, ipa: other, hva: 0xfe00_0000_1000)
    let replayed = try story.replay()
    #expect(replayed.operations.isEmpty)
    #expect(replayed.nothing == [.noSlot: 1])
    #expect(replayed.result.vms[0].faults.mmio == 1)
  }

  @Test("A VM changes one slot at a time: a fault that the next one does not hold belongs to none")
  func onlyTheNextCommit() throws {
    let story = Scenario()
    let other = story.memory + 0x1000_0000
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, other)
    story.createSlot(id: 1, ipa: story.memory + 0x2000_0000, hva: 0xfd00_0000_1000)
    story.createSlot(id: 2, ipa: other, hva: 0xfe00_0000_1000)
    let replayed = try story.replay()
    #expect(replayed.operations.isEmpty)
    #expect(replayed.nothing == [.noSlot: 1])
  }

  @Test("Deleting a slot unmaps all of it, and faults on the dying slot are MMIO")
  func delete() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.fault(.vcpu0, story.memory)
    story.mmio(.vcpu0, story.memory)
    story.exitToVMM(.vcpu0)
    story.deleteSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, derived", "unmap 40000000+400000 = 0, derived"])
    #expect(replayed.nothing == [.noSlot: 2])
    #expect(replayed.result.vms[0].memory.mappings.live == 0)
  }

  @Test("Deleting a slot unmaps it also if nothing was mapped")
  func deleteUnused() throws {
    let story = Scenario()
    story.createSlot()
    story.deleteSlot()
    #expect(try story.replay().operations == ["unmap 40000000+400000 = 0, derived"])
  }

  @Test("Moving a slot unmaps the old place; the new one is used from then on, and before")
  func move() throws {
    let story = Scenario()
    let new = story.memory + 0x1000_0000
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, new)
    story.moveSlot(to: new)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, new + story.page)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.map)
        == [
          "map 40000000+1000 = 0, derived", "map 50000000+1000 = 0, derived",
          "map 50001000+1000 = 0, derived",
        ])
    #expect(replayed.operations(.unmap) == ["unmap 40000000+400000 = 0, derived"])
    #expect(replayed.nothing == [.noSlot: 1])
    #expect(replayed.result.vms[0].slots.map(\.base.rawValue) == [0x40000, 0x50000])
  }

  @Test("A write to a read-only slot goes to the VMM, a read is mapped without the right to write")
  func readOnly() throws {
    let story = Scenario()
    story.createSlot(flags: 2)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, .write)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived"])
    #expect(replayed.all.map(\.prot) == [.read])
    #expect(replayed.nothing == [.readOnlySlot: 1])
  }

  // MARK: Several VMs

  @Test(
    "The address of struct kvm is used again: a number in use, or frames in use, mean a new VM",
    arguments: [(id: UInt64(0), ipa: UInt64(0x8000_0000)), (id: 1, ipa: 0x4010_0000)])
  func sameAddress(id: UInt64, ipa: UInt64) throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.createSlot(id: id, ipa: ipa)
    story.handle(.vcpu0, ipa)
    let replayed = try story.replay()
    #expect(replayed.result.vms.count == 2)
    #expect(replayed.all.map(\.vm) == [0, 1])
    #expect(replayed.result.vms.map(\.slots.count) == [1, 1])
  }

  @Test("More slots at the same address of struct kvm belong to the same VM")
  func moreSlots() throws {
    let story = Scenario()
    story.createSlot()
    story.createSlot(id: 1, ipa: 0x8000_0000, hva: 0xfe00_0000_1000)
    let replayed = try story.replay()
    #expect(replayed.result.vms.count == 1)
    #expect(replayed.result.vms[0].slots.count == 2)
  }

  @Test("Two VMs with equal addresses: each vCPU belongs to the VM of its own VMM")
  func equalAddresses() throws {
    let story = Scenario()
    let otherVMM = Scenario.Thread(tid: 2000, cpu: 3)
    let otherVCPU = Scenario.Thread(tid: 2001, cpu: 2)
    story.createSlot()
    story.createSlot(otherVMM, kvm: 0xeeee_0000, hva: 0xaa00_0000_1000)
    story.enter(.vcpu0)
    story.enter(otherVCPU)
    story.handle(.vcpu0, story.memory)
    story.handle(otherVCPU, story.memory)
    story.unmap(.kswapd, 0xaa00_0000_1000)
    let replayed = try story.replay()
    let map = "map 40000000+1000 = 0, derived"
    #expect(replayed.operations(vm: 0) == [map])
    #expect(replayed.operations(vm: 1) == [map, "unmap 40000000+1000 = 0, assumed"])
    #expect(replayed.result.vms.map { $0.vcpus.map(\.rawValue) } == [[1001], [2001]])
  }

  @Test("A thread that creates a VM's slots and runs its vCPU runs that VM's")
  func creatorRunsTheVCPU() throws {
    let story = Scenario()
    let first = Scenario.Thread(tid: 300, cpu: 0)
    let second = Scenario.Thread(tid: 200, cpu: 1)
    story.createSlot(first, kvm: 1)
    story.createSlot(second, kvm: 2, hva: 0xaa00_0000_1000)
    for thread in [first, second] {
      story.enter(thread)
      story.handle(thread, story.memory)
    }
    #expect(try story.replay().all.map(\.vm) == [0, 1])
  }

  // MARK: What the trace does not tell

  /// Every event but those of the slots.
  static let withoutSlots = KVMEventFormats.kvm + StageTwoProbeFormats.all + KVMEventFormats.lock

  @Test("Without any slot, what is no device is taken for memory, and notifiers cannot be joined with it")
  func noSlots() throws {
    let story = Scenario(formats: Self.withoutSlots)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, story.memory, .permission, .write)
    story.handleAccessFault(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, assumed", "relax_perms 40000000 = 0, assumed", "mkyoung 40000000, assumed",
      ])
    #expect(replayed.result.vms.map(\.faults.total) == [3])
    #expect(replayed.result.vms[0].slots.map(\.hva) == [nil])
  }

  @Test("A trace begun mid-life learns of a slot from a change of its flags, and infers another")
  func midLife() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, 0x8000_0000)
    story.setFlags(0)
    story.handle(.vcpu0, story.memory + story.page)
    story.fault(.vcpu0, 0x0900_0000, .translation, .write)
    story.mmio(.vcpu0, 0x0900_0000)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.result.vms.count == 1)
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, derived", "map 80000000+1000 = 0, assumed", "map 40001000+1000 = 0, derived",
      ])
    #expect(replayed.nothing == [.noSlot: 1])
  }

  @Test("A trace begun mid-life sees a slot go that it never saw come")
  func deletedUnseen() throws {
    let story = Scenario()
    story.createSlot(id: 1, ipa: 0x8000_0000)
    story.deleteSlot()
    #expect(try story.replay().operations == ["unmap 40000000+400000 = 0, derived"])
  }
}
