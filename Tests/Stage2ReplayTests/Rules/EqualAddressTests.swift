import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// VMMs whose guests' memory has the same host addresses, as clones of one snapshot have it, and VMMs of one process.
@Suite("Equal host addresses")
struct EqualAddressTests {
  private static let other = Scenario.Thread(tid: 2000, cpu: 3)
  private static let otherVCPU = Scenario.Thread(tid: 2001, cpu: 1)
  private static let formats = KVMEventFormats.all + StageTwoProbeFormats.all

  /// Two VMs of two processes at one host address, each with one vCPU that has mapped the first four pages.
  private func twins(hva: UInt64? = nil) -> Scenario {
    let story = Scenario(formats: Self.formats)
    story.createSlot(.vmm, kvm: 0xa000)
    story.createSlot(Self.other, kvm: 0xb000, hva: hva)
    story.enter(.vcpu0)
    story.enter(Self.otherVCPU)
    for page in 0..<UInt64(4) {
      story.handle(.vcpu0, story.memory + page * story.page, level: page == 0 ? 1 : 3)
      story.handle(Self.otherVCPU, story.memory + page * story.page, level: page == 0 ? 1 : 3)
    }
    return story
  }

  /// The probe on `kvm_unmap_gfn_range` or `kvm_age_gfn`.
  private func name(
    _ format: TraceSynth.EventFormat, _ thread: Scenario.Thread, kvm: UInt64, _ story: Scenario, page: UInt64
  ) {
    let gfn = story.memory >> story.pageSize.shift + page
    story.emit(format, thread, [0, kvm, gfn, gfn + 1])
  }

  private func unmaps(_ replayed: Replayed, vm: Int) -> [String] {
    replayed.all.filter { $0.kind == .unmap && $0.vm == vm }.map(\.line)
  }

  @Test("What a thread of one VMM unmaps is its own, though the other has memory at the address, too")
  func whoActs() throws {
    let story = twins()
    story.unmap(.vmm, story.crookedHVA, bytes: 3 * story.page)
    story.unmap(Self.otherVCPU, story.crookedHVA + 3 * story.page)
    let replayed = try story.replay()
    #expect(unmaps(replayed, vm: 0) == ["unmap 40000000+3000 = 0, derived"])
    // It may also be reclaim, which takes from anybody, but hardly from just this one.
    #expect(unmaps(replayed, vm: 1) == ["unmap 40003000+1000 = 0, assumed"])
  }

  @Test("A vCPU that takes away the page of its own fault does so in its own VM, and that is certain")
  func copyOnWrite() throws {
    let story = twins()
    let page = story.memory + story.page
    story.fault(Self.otherVCPU, page, .permission, level: 3, .write)
    story.unmap(Self.otherVCPU, story.crookedHVA + story.page)
    story.enter(Self.otherVCPU)
    story.handle(Self.otherVCPU, page, level: 3)
    let replayed = try story.replay()
    #expect(unmaps(replayed, vm: 0) == [])
    #expect(unmaps(replayed, vm: 1) == ["unmap 40001000+1000 = 0, derived"])
    #expect(replayed.divergences == [])
  }

  @Test("What the host's own threads do is assumed of both, and is never unexplained, whichever it was")
  func hostThread() throws {
    let story = twins()
    story.unmap(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA + story.page)
    // It was the second one's: the first still has its page, and its leaf there is young.
    story.fault(.vcpu0, story.memory, .permission, level: 3, .write)
    story.enter(.vcpu0)
    story.handle(Self.otherVCPU, story.memory, level: 3)
    for page in [UInt64(2), 1] { story.age(.kswapd, story.crookedHVA + page * story.page) }
    let replayed = try story.replay()
    #expect(unmaps(replayed, vm: 0) == ["unmap 40000000+1000 = 0, assumed"])
    #expect(unmaps(replayed, vm: 1) == ["unmap 40000000+1000 = 0, assumed"])
    #expect(replayed.result.divergences.unexplained == 0)
    let ages = replayed.all.filter { $0.kind == .testClearYoung }
    #expect(ages.count == 6 && ages.allSatisfy { $0.basis == .assumed })
  }

  @Test("Where a probe names the VM, only that one loses its memory, and that is certain")
  func named() throws {
    let story = twins()
    // Which trace has such probes is known from the first.
    story.unmap(.kswapd, story.crookedHVA + 3 * story.page)
    name(StageTwoProbeFormats.unmapGFN, .kswapd, kvm: 0xa000, story, page: 3)
    story.unmap(.kswapd, story.crookedHVA)
    name(StageTwoProbeFormats.unmapGFN, .kswapd, kvm: 0xb000, story, page: 0)
    // A notification of memory that no guest has.
    story.unmap(.kswapd, story.crookedHVA + story.page)
    let replayed = try story.replay()
    #expect(unmaps(replayed, vm: 0) == ["unmap 40003000+1000 = 0, assumed"])
    #expect(
      unmaps(replayed, vm: 1) == ["unmap 40003000+1000 = 0, assumed", "unmap 40000000+1000 = 0, derived"])
  }

  @Test("Without probes nothing is known of them")
  func ignored() throws {
    let story = twins()
    for page in [UInt64(3), 0] {
      story.unmap(.kswapd, story.crookedHVA + page * story.page)
      name(StageTwoProbeFormats.unmapGFN, .kswapd, kvm: 0xb000, story, page: page)
    }
    story.options.ignoresProbes = true
    let replayed = try story.replay()
    #expect(unmaps(replayed, vm: 0).count == 2 && unmaps(replayed, vm: 1).count == 2)
  }

  @Test("Slots that overlap in part are equal where they do")
  func overlap() throws {
    let story = Scenario(formats: Self.formats)
    let hva = story.crookedHVA
    story.createSlot(.vmm, kvm: 0xa000, pages: 16)
    story.createSlot(Self.other, kvm: 0xb000, pages: 16, hva: hva + 8 * story.page)
    story.enter(.vcpu0)
    story.enter(Self.otherVCPU)
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(Self.otherVCPU, story.memory, level: 1)
    story.unmap(.vcpu0, hva + 8 * story.page)
    story.unmap(.vcpu0, hva + 20 * story.page)
    let replayed = try story.replay()
    #expect(unmaps(replayed, vm: 0) == ["unmap 40008000+1000 = 0, assumed"])
    // Only the second VMM has memory there, so it was reclaim.
    #expect(unmaps(replayed, vm: 1) == ["unmap 4000c000+1000 = 0, assumed"])
  }

  // MARK: One address space

  @Test("One copy-on-write comes once for each VM of the process, and is one operation")
  func fellows() throws {
    let story = Scenario()
    story.createSlot(.vmm, kvm: 0xa000)
    // Made by another thread, so nothing says that the process is the same.
    story.createSlot(Self.other, kvm: 0xb000, hva: 0xee00_4000_1000)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.fault(.vcpu0, story.memory, .permission, level: 3, .write)
    for _ in 0..<2 { story.unmap(.vcpu0, story.crookedHVA) }
    story.enter(.vcpu0)
    // What the VMM gives back comes twice as well.
    for _ in 0..<2 { story.unmap(.vmm, story.crookedHVA + 4 * story.page, bytes: 3 * story.page) }
    #expect(
      try story.replay().operations(.unmap) == [
        "unmap 40000000+1000 = 0, derived", "unmap 40004000+3000 = 0, derived",
      ])
  }

  @Test("VMs that one thread made share an address space from the beginning")
  func madeByOneThread() throws {
    let story = Scenario(formats: Scenario.markedFormats)
    for kvm in [UInt64(0xa000), 0xb000] {
      story.createVM(kvm: kvm)
      story.createSlot(.vmm, kvm: kvm, hva: 0xee00_4000_1000 + kvm << 16)
    }
    for _ in 0..<2 { story.unmap(.kswapd, 0xee00_4000_1000 + 0xa000 << 16, bytes: 3 * story.page) }
    #expect(try story.replay().operations(.unmap) == ["unmap 40000000+3000 = 0, derived"])
  }
}
