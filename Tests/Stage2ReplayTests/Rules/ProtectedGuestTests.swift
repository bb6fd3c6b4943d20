import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// What a replay makes of protected guests, whose pages are pinned and donated for as long as they live
/// (`pkvm_mem_abort`).
@Suite("Protected guests")
struct ProtectedGuestTests {
  /// A protected VM of 40 bits whose vCPU has faulted on its first page.
  private func story(hva: UInt64? = nil) -> Scenario {
    let story = Scenario()
    story.profile.isProtected = true
    story.createSlot(hva: hva)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    return story
  }

  @Test("A read fault donates the page, with all rights")
  func donation() throws {
    let replayed = try story().replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived"])
    #expect(replayed.all.map(\.prot) == [.rwx])
    #expect(replayed.all.map(\.protBasis) == [.derived])
    let vm = try #require(replayed.result.vms.first)
    #expect(vm.isProtected)
    #expect(vm.hypercalls?[.hostDonateGuest] == 1 && vm.hypercalls?[.hostShareGuest] == nil)
  }

  @Test("A fault donates a page, also where huge pages are aged as one")
  func pagesOnly() throws {
    let story = Scenario()
    story.profile.isProtected = true
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.age(.kswapd, story.congruentHVA, bytes: story.block)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    let replayed = try story.replay()
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, derived", "map 40001000+1000 = 0, derived"])
    #expect(replayed.divergences == [])
  }

  @Test("The notifier's events perform nothing, and no fault has to be retried for them")
  func notifiers() throws {
    let story = story()
    story.unmap(.kswapd, story.crookedHVA)
    story.age(.kswapd, story.crookedHVA)
    // Pinning replaces the zero page.
    story.fault(.vcpu0, story.memory + story.page, .translation, .write)
    story.unmap(.vcpu0, story.crookedHVA + story.page)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 2 * story.page, .translation)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, derived", "map 40001000+1000 = 0, derived", "map 40002000+1000 = 0, derived",
      ])
    #expect(replayed.nothing == [:])
    #expect(replayed.divergences == [])
  }

  @Test("An unmap does not account for a table that is missing")
  func missingTable() throws {
    let story = story()
    story.fault(.vcpu0, story.memory + story.page, level: 2)
    story.unmap(.kswapd, story.crookedHVA)
    story.enter(.vcpu0)
    try expect(story, ["D1 unexplained"])
  }

  @Test(
    "A page that the host took by force: the guest's next fault on it ends KVM_RUN, after a map that failed")
  func poison() throws {
    let story = story()
    for _ in 0..<2 {
      story.fault(.vcpu0, story.memory, level: 3, .write)
      story.exitToVMM(.vcpu0, errno: -14)
      story.enter(.vcpu0)
    }
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, derived", "map 40000000+1000 = -14, derived",
        "map 40000000+1000 = -14, derived",
      ])
    #expect(replayed.divergences == [])
    let hypercalls = try #require(replayed.result.vms.first?.hypercalls)
    #expect(hypercalls[.forceReclaimGuestPage] == 1 && hypercalls[.vcpuInPoisonFault] == 2)
  }

  @Test("Any other fault with which KVM_RUN fails maps nothing")
  func failure() throws {
    let story = story()
    // The page cannot be pinned.
    story.fault(.vcpu0, story.memory + story.page, level: 3)
    story.exitToVMM(.vcpu0, errno: -14)
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory + story.page, level: 3)
    story.exitToVMM(.vcpu0, errno: -12)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived"])
    #expect(replayed.nothing == [.failed: 2])
    #expect(replayed.divergences == [])
  }

  @Test("With larger pages a fault is mapped at the address that it has, which reaches into the next page")
  func largePages() throws {
    let story = Scenario(.size16K)
    story.profile.isProtected = true
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 0x3000, level: 2)
    story.handle(.vcpu0, story.memory + 2 * story.page)
    // The kernel takes the next page's mapping for this one's.
    story.handle(.vcpu0, story.memory + story.page + 0x1000)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        "map 40003000+4000 = 0, derived", "map 40008000+4000 = 0, derived",
        "map 40005000+4000 = -11, assumed",
      ])
    #expect(replayed.divergences == [])
    for _ in 0..<3 { story.handle(.vcpu0, story.memory + story.page + 0x1000) }
    try expect(story, ["L1 unexplained"])
  }

  @Test("The fault that EL2 makes up for MEM_SHARE says nothing of the table", arguments: [true, false])
  func memShare(lacksIL: Bool) throws {
    let far = story()
    far.guestFault(.vcpu0, far.memory + far.block, esr: 0x9200_0047)
    far.enter(.vcpu0)
    try expect(far, ["D18 unexplained", "D15 unexplained"])

    let story = story()
    story.memShare(.vcpu0, story.memory + story.block, lacksIL: lacksIL)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.operations.last == "map 40200000+1000 = 0, derived")
    #expect(replayed.divergences == [])
  }

  @Test("The same fault of a guest that is not protected is one of its own")
  func memShareElsewhere() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.memShare(.vcpu0, story.memory + story.block)
    story.enter(.vcpu0)
    try expect(story, ["D15 unexplained"])
  }

  @Test("The lock is held to write")
  func lock() throws {
    let story = Scenario()
    story.profile.isProtected = true
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory, level: 1)
    story.recordMap(.vcpu0, story.memory, prot: 0xf)
    story.enter(.vcpu0)
    let lock = try #require(try story.replay().result.vms.first?.lock)
    #expect(lock.byOperation[.map]?.mode == .write)
    #expect(lock.writeHold?.count == 1 && lock.readHold == nil)
  }
}
