import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// Events that no kernel writes, from damaged files or forged ones: nothing may crash, hang or take memory without end.
@Suite("Events that cannot be")
struct HostileTests {
  static let extremes: [UInt64] = [
    0, 1, 0xfff, 1 << 31, (1 << 40) - 1, 1 << 40, 1 << 51, 1 << 52, 1 << 63, .max - 0xfff, .max,
  ]

  /// A read, a fetch, a write, a stage-1 walk, and everything at once.
  static let syndromes: [UInt64] = [0x9000_0000, 0x8000_0000, 0x9000_0040, 0x9000_0080, ~0x3f]

  /// A VM that runs, on either path.
  static func story(_ pageSize: PageSize, isPKVM: Bool) -> Scenario {
    let story = Scenario(pageSize)
    story.profile.path = isPKVM ? .pkvm : .traditional
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    return story
  }

  @Test("Slots of any place and size", arguments: PageSize.allCases, [true, false])
  func slots(pageSize: PageSize, isPKVM: Bool) throws {
    let story = Self.story(pageSize, isPKVM: isPKVM)
    for change in [UInt64(0), 1, 2, 3, 7] {
      for base in Self.extremes {
        for pages in Self.extremes {
          for hva in [0, story.congruentHVA, .max] {
            let gfn = base >> pageSize.shift
            for place in [base, gfn] {
              story.emit(
                KVMEventFormats.slotCommit, .vmm,
                [0, 0xffff_0000, change, place, pages, hva, pages & 7, base & 3, place, pages])
            }
          }
        }
      }
    }
    story.handle(.vcpu0, story.memory + story.page)
    #expect(try story.replay().result.vms.count >= 1)
  }

  @Test("Notifiers of any range", arguments: PageSize.allCases, [true, false])
  func ranges(pageSize: PageSize, isPKVM: Bool) throws {
    let story = Self.story(pageSize, isPKVM: isPKVM)
    story.createSlot(id: 1, ipa: 0x10_0000_0000, pages: 64, hva: 0)
    for start in Self.extremes {
      for end in Self.extremes {
        story.emit(KVMEventFormats.unmapHVARange, .kswapd, [start, end])
        story.emit(KVMEventFormats.ageHVA, .kswapd, [start, end])
      }
      story.testAge(.kswapd, start)
    }
    story.handle(.vcpu0, story.memory + story.page)
    #expect(try story.replay().operations(.map).count == 2)
  }

  @Test("Faults of any address, status and level", arguments: PageSize.allCases, [true, false])
  func faults(pageSize: PageSize, isPKVM: Bool) throws {
    let story = Self.story(pageSize, isPKVM: isPKVM)
    for ipa in Self.extremes + [story.memory] {
      for status in UInt64(0)..<64 {
        for bits in Self.syndromes {
          story.emit(KVMEventFormats.guestFault, .vcpu0, [0, status | bits, 0, ipa])
          story.enter(.vcpu0)
        }
      }
    }
    let replayed = try story.replay()
    #expect(replayed.result.vms[0].faults.total == 1 + 12 * 64 * 5)
  }

  @Test("A slot beyond the table: the kernel's functions say so, once for each range")
  func beyondTheTable() throws {
    for isPKVM in [true, false] {
      let story = Self.story(.size4K, isPKVM: isPKVM)
      let beyond = UInt64(1) << 44
      story.createSlot(id: 1, ipa: beyond, pages: 0x10_0000, hva: 0xaa00_0000_0000)
      story.handle(.vcpu0, beyond)
      story.handle(.vcpu0, beyond, .permission, level: 3, .write)
      story.handleAccessFault(.vcpu0, beyond)
      story.unmap(.kswapd, 0xaa00_0000_0000, bytes: 0x1_0000_0000)
      story.age(.kswapd, 0xaa00_0000_0000, bytes: 0x1_0000_0000)
      #expect(try story.replay().operations(.unmap).count <= 4)
    }
  }

  @Test("Threads of any number", arguments: [Int32.min, -1, 0, 1, 4_194_303, 4_194_304, .max])
  func threads(tid: Int32) throws {
    let story = Self.story(.size4K, isPKVM: true)
    let thread = Scenario.Thread(tid: tid, cpu: 1)
    story.createSlot(thread, kvm: 5, id: 5, ipa: 0x8000_0000, hva: 0xaa00_0000_0000)
    story.enter(thread)
    story.handle(thread, 0x8000_0000)
    story.mmio(thread, 0x8000_0000)
    story.handleAccessFault(thread, 0x8000_0000)
    story.exitToVMM(thread)
    story.unmap(thread, 0xaa00_0000_0000)
    story.recordUnmap(thread, 0x8000_0000)
    let replayed = try story.replay()
    let isPossible = (0..<4_194_304).contains(tid)
    #expect(replayed.result.vms.count == (isPossible ? 2 : 1))
    #expect(replayed.result.unattributedFaults == (isPossible ? 0 : 2))
  }

  @Test("Windows that end without having begun, and begin without end")
  func windows() throws {
    let story = Scenario()
    story.enter(.vcpu0)
    story.mmio(.vcpu0, 0)
    story.exitToVMM(.vcpu0)
    story.exitToVMM(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.fault(.vcpu0, story.memory)
    story.fault(.vcpu1, story.memory)
    story.mmio(.vcpu0, story.memory)
    story.mmio(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations.isEmpty)
    #expect(replayed.result.vms[0].faults.total == 3)
  }

  @Test("Thousands of VMs")
  func manyVMs() throws {
    let story = Scenario()
    for vm in 0..<2000 {
      let vmm = Scenario.Thread(tid: Int32(10 + vm), cpu: 0)
      story.createSlot(vmm, kvm: UInt64(vm), hva: UInt64(vm + 1) << 32)
      story.enter(vmm)
      story.handle(vmm, story.memory)
    }
    let replayed = try story.replay()
    #expect(replayed.all.map(\.vm) == Array(0..<2000))
  }
}
