import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// Slots of guest_memfd: `gmem_abort` in place of `user_mem_abort`.
@Suite("Slots of guest_memfd")
struct GuestMemfdTests {
  /// A slot that could hold blocks, were its memory not a guest_memfd's.
  private func story(_ path: Profile.Path = .traditional, era: PKVMEra = .v7_3) -> Scenario {
    let story = Scenario()
    story.profile = Profile(path: path, era: era)
    story.profile.ipaBits = 40
    story.profile.hasHardwareAF = false
    story.createSlot(hva: story.congruentHVA, flags: 4)
    story.enter(.vcpu0)
    return story
  }

  @Test("Pages are mapped, never blocks, and writable whatever the access", arguments: [false, true])
  func maps(isPKVM: Bool) throws {
    let story = story(isPKVM ? .pkvm : .traditional)
    story.handle(.vcpu0, story.memory + 3 * story.page, level: 1)
    story.handle(.vcpu0, story.memory + 4 * story.page, level: 3)
    story.handle(.vcpu0, story.memory + 4 * story.page, .permission, level: 3, .exec)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        "map 40003000+1000 = 0, derived", "map 40004000+1000 = 0, derived",
        "relax_perms 40004000 = 0, derived",
      ])
    #expect(replayed.all.map(\.prot) == [.rw, .rw, .rwx])
    // The right to execute is one that DIC would give to all.
    #expect(replayed.all.last?.protBasis == .derived)
    #expect(replayed.divergences.isEmpty)
  }

  @Test("A write fault on a page that a read mapped contradicts that: the host does not protect it")
  func writable() throws {
    let story = story()
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory, .permission, level: 3, .write)
    let replayed = try story.replay()
    #expect(replayed.all.first?.prot == .rw)
    #expect(replayed.divergences == ["D11 unexplained"])
  }

  @Test(
    "Notifiers reach its frames by host address as those of any slot: no handler of arm64 asks whose memory it is"
  )
  func notifiers() throws {
    let story = story()
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.vmm, story.congruentHVA)
    story.age(.vmm, 0xaaaa_0000_0000)
    story.handle(.vcpu0, story.memory, level: 1)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, derived", "unmap 40000000+1000 = 0, derived",
        "map 40000000+1000 = 0, derived",
      ])
    #expect(replayed.divergences.isEmpty)
  }

  @Test(
    "A hole that is punched into the file leaves no event: the next fault shows that the page was unmapped")
  func hole() throws {
    let story = story()
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.handle(.vcpu0, story.memory, level: 3, .write)
    let replayed = try story.replay()
    #expect(
      replayed.operations.suffix(2) == ["unmap 40000000+1000 = 0, assumed", "map 40000000+1000 = 0, assumed"])
    #expect(replayed.divergences == ["D1 explained E8"])
  }

  @Test("Before 7.1 a permission fault maps again, and comes back for ever, unless the kernel has the fix")
  func olderKernels() throws {
    for isStuck in [true, false] {
      let story = story(era: .v6_18)
      story.handle(.vcpu0, story.memory, level: 1)
      story.handle(.vcpu0, story.memory, .permission, level: 3, .exec)
      story.handle(
        .vcpu0, isStuck ? story.memory : story.memory + story.page, isStuck ? .permission : .translation,
        level: 3, .exec)
      #expect(
        try story.replay().operations[1]
          == (isStuck ? "map 40000000+1000 = -11, assumed" : "relax_perms 40000000 = 0, assumed"))
    }
  }

  @Test("A fault that fails made no call")
  func failure() throws {
    let story = story()
    story.fault(.vcpu0, story.memory, level: 1)
    story.exitToVMM(.vcpu0, errno: -14)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.operations.isEmpty && replayed.nothing == [.failed: 1])
  }
}
