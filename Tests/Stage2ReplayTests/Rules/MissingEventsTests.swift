import KVMTrace
import KVMTypes
import Stage2Model
import Testing
import TraceMutation
import TraceSynth

@testable import Stage2Replay

/// What a trace does not record is not taken for what did not happen.
@Suite("Events that were not recorded")
struct MissingEventsTests {
  /// A trace whose recorder left some events out, so that their formats are missing, too.
  private func story(without missing: [TraceSynth.EventFormat]) -> Scenario {
    let names = missing.map(\.name)
    return Scenario(formats: Scenario.markedFormats.filter { !names.contains($0.name) })
  }

  @Test(
    "Without kvm_entry a fault ends with its thread's next event, or with the trace",
    arguments: [true, false])
  func noEntry(hasFormat: Bool) throws {
    let story = story(without: hasFormat ? [] : [KVMEventFormats.entry])
    story.createSlot()
    for page in 0..<3 { story.fault(.vcpu0, story.memory + UInt64(page) * story.page) }
    story.fault(.vcpu1, story.memory + 7 * story.page)
    let replayed = try story.replay()
    #expect(
      replayed.operations.sorted()
        == [0, 1, 2, 7].map { "map 4000\($0)000+1000 = 0, assumed" })
    #expect(replayed.result.events.missing == [.entry])
    #expect(replayed.result.divergences.unexplained == 0)
    #expect(replayed.result.vms[0].tableBasis == .assumed)
    #expect(try #require(replayed.result.lack).hasPrefix("kvm_entry not recorded: "))
  }

  @Test("Faults alone are mapped in memory that is inferred")
  func faultsAlone() throws {
    let story = story(without: KVMEventFormats.kvm.filter { $0.name != "kvm_guest_fault" })
    for page in 0..<60 {
      story.guestFault(.vcpu0, story.memory + UInt64(page) * story.page, esr: 0x9200_0047)
    }
    let replayed = try story.replay()
    #expect(replayed.operations.count == 60 && replayed.operations.allSatisfy { $0.hasSuffix("assumed") })
    #expect(replayed.result.vms[0].memory.mappings.live == 60)
    #expect(replayed.divergences.isEmpty)
    #expect(
      replayed.result.missingEvents.flatMap(\.events) == [
        "kvm_entry", "kvm_unmap_hva_range", "kvm_userspace_exit", "kvm_exit", "kvm_mmio", "kvm_access_fault",
        "kvm_age_hva", "kvm_test_age_hva", "memslots",
      ])
  }

  @Test("Without kvm_guest_fault nothing is known of tables", arguments: [true, false])
  func noFault(hasFormat: Bool) throws {
    let story = story(without: hasFormat ? [] : [KVMEventFormats.guestFault])
    story.createSlot()
    for _ in 0..<3 {
      story.enter(.vcpu0)
      story.exit(.vcpu0)
    }
    story.age(.kswapd, story.crookedHVA)
    let replayed = try story.replay()
    #expect(replayed.operations == ["test_clear_young 40000000+1000, assumed"])
    #expect(!replayed.result.events.tellsFaults && !replayed.result.vms[0].isTableKnown)
    #expect(replayed.divergences.isEmpty)
  }

  @Test(
    "Without kvm_unmap_hva_range a fault on what was mapped contradicts nothing", arguments: [true, false])
  func noUnmap(hasFormat: Bool) throws {
    let story = story(without: hasFormat ? [] : [KVMEventFormats.unmapHVARange])
    story.createSlot()
    story.enter(.vcpu0)
    for page in 0..<8 { story.handle(.vcpu0, story.memory + UInt64(page % 4) * story.page) }
    let replayed = try story.replay()
    #expect(replayed.result.events.missing == [.unmapHVARange])
    #expect(replayed.result.divergences.unexplained == 0 && replayed.result.divergences.unknown > 0)
    #expect(!replayed.operations.isEmpty && replayed.operations.allSatisfy { $0.hasSuffix("assumed") })
  }

  @Test("Of a VM without known slots, what faults mapped is unknown")
  func noSlots() throws {
    let story = story(without: [])
    story.options.memslots = MemslotHistory()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations.isEmpty && !replayed.result.vms[0].isTableKnown)
  }

  @Test("Notifiers on memory in no slot are counted, copies for other VMs once")
  func notifiers() throws {
    let story = story(without: [])
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, 0x1000)
    story.age(.kswapd, 0x2000)
    story.age(.kswapd, 0x4000)
    story.age(.kswapd, story.crookedHVA)
    let counts = try story.replay().result.unattributedNotifiers
    #expect(counts.unmap == 1 && counts.age == 2 && counts.testAge == 0 && counts.total == 3)
  }

  @Test("A fault that is open when its VM goes ended no later than the VM, whatever its thread does then")
  func openFault() throws {
    let story = story(without: [])
    story.createVM()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.destroyVM()
    let end = Nanoseconds(story.now)
    story.wait(microseconds: 1_000_000)
    story.enter(.vcpu0)
    let found = try story.replay()
    #expect(found.all.map(\.time) == [end])
    #expect(found.result.vms[0].workingSet.idle.keys.allSatisfy { $0 >= 0 })
  }

  @Test("A VM that is gone has nothing at the end of the trace, and what it had last is told")
  func end() throws {
    let story = story(without: [])
    story.createVM()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let alive = try story.replay().result.vms[0]
    #expect(alive.end == nil && alive.memory.mappings.live == 1 && alive.lastMemory == nil)
    story.destroyVM()
    let time = story.now
    story.wait(microseconds: 100)
    story.unmap(.kswapd, 0x1000)
    let gone = try story.replay().result.vms[0]
    #expect(gone.end == VMEnd(time: Nanoseconds(time), basis: .recorded))
    #expect(gone.memory.mappings.live == 0 && gone.memory.mappings.peak == 1)
    #expect(gone.memory.totalBytes.live == 0 && gone.memory.totalBytes.peak > 0)
    #expect(gone.lastMemory?.mappings.live == 1)
    #expect(gone.memorySeries.samples.last?.totalBytes == 0)
    #expect(gone.memorySeries.samples.first?.totalBytes == gone.lastMemory?.totalBytes.live)
  }

  @Test("A fault whose end was not recorded did not end after its VM")
  func faultOfGoneVM() throws {
    let trace = MemoryTrace(try Recordings.trace("pkvm-nvhe-7.2.12-protected-guest.dat"))
    let (result, _) = try Replay.run(
      over: trace.without([.entry, .userspaceExit], keepsFormats: false), profile: ProfileRequest(),
      options: ReplayOptions())
    #expect(result.vms.contains { $0.end != nil })
    let idle = result.vms.flatMap(\.workingSet.idle.keys)
    #expect(!idle.isEmpty && idle.allSatisfy { $0 >= 0 })
  }

  /// Kinds that are recorded together or not at all.
  private static let kinds: [[EventKind]] = [
    [.entry], [.exit], [.guestFault], [.accessFault], [.mmio, .mmioNISV], [.userspaceExit], [.unmapHVARange],
    [.ageHVA, .testAgeHVA],
  ]

  @Test("A recording without one or two kinds of event leads to no wrong certainty and no contradiction")
  func recording() throws {
    let trace = MemoryTrace(try Recordings.trace("pkvm-nvhe-7.3.4-page-table-thp.dat"))
    for first in Self.kinds.indices {
      for second in Self.kinds.indices where second >= first {
        let dropped = Set(Self.kinds[first] + Self.kinds[second])
        var derived = 0
        let (result, _) = try Replay.run(
          over: trace.without(dropped, keepsFormats: false), profile: ProfileRequest(),
          options: ReplayOptions()
        ) {
          if $0.basis == .derived { derived += 1 }
        }
        let wrong = result.agreement?.scores.values.reduce(0) { $0 + $1.derivedWrong }
        #expect(wrong == 0 && result.divergences.unexplained == 0, "without \(dropped)")
        let isCertain = dropped.isDisjoint(with: [.entry, .guestFault, .userspaceExit, .unmapHVARange])
        #expect((derived > 0) == isCertain, "without \(dropped)")
        #expect(result.vms.allSatisfy { $0.isTableKnown == !dropped.contains(.guestFault) })
      }
    }
  }
}
