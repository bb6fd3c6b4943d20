import KVMTypes
import Stage2Model
import Testing
import TraceSynth

@testable import Stage2Replay

/// Slots of guest_memfd: `gmem_abort` in place of `user_mem_abort`.
@Suite("Slots of guest_memfd")
struct GuestMemfdTests {
  /// A slot that could hold blocks, were its memory not a guest_memfd's.
  private func story(_ path: Profile.Path = .traditional, era: PKVMEra = .v7_3) -> Scenario {
    let story = Scenario(formats: Scenario.markedFormats + StageTwoProbeFormats.all)
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
        "map 40003000+1000 = 0, derived", "map 40004000+1000 = 0, assumed",
        "relax_perms 40004000 = 0, assumed",
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
        "map 40000000+1000 = 0, assumed", "unmap 40000000+1000 = 0, derived",
        "map 40000000+1000 = 0, assumed",
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

  @Test("Without a probe a fault that comes back at once is taken to have retried because of a hole")
  func untoldRetry() throws {
    let story = story()
    for _ in 0..<3 { story.handle(.vcpu0, story.memory, level: 1, .write) }
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    let replayed = try story.replay()
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, derived", "map 40001000+1000 = 0, assumed"])
    #expect(replayed.nothing == [.faultedAgain: 2])
    #expect(replayed.result.divergences.unexplained == 0)
  }

  /// The probe on `kvm_unmap_gfn_range`, for some pages of the slot.
  private func unmapFrames(_ story: Scenario, _ pages: Range<UInt64>) {
    let first = story.memory >> story.pageSize.shift
    story.emit(
      StageTwoProbeFormats.unmapGFN, .vmm,
      [0, 0xffff_0000, first + pages.lowerBound, first + pages.upperBound])
  }

  /// A hole of two pages, one of which is mapped, and a vCPU that faults twice on another page meanwhile.
  private func punched() -> Scenario {
    let story = story()
    // That the trace has the probe is known from the first.
    unmapFrames(story, 8..<9)
    story.handle(.vcpu0, story.memory, level: 1)
    unmapFrames(story, 0..<2)
    story.handle(.vcpu0, story.memory + 3 * story.page, level: 3)
    story.handle(.vcpu0, story.memory + 3 * story.page, level: 3)
    story.handle(.vcpu0, story.memory, level: 3)
    return story
  }

  @Test("A probe tells of the hole, and of what retries because of it")
  func toldHole() throws {
    let replayed = try punched().replay()
    #expect(
      replayed.operations == [
        "unmap 40008000+1000 = 0, derived", "map 40000000+1000 = 0, derived",
        "unmap 40000000+2000 = 0, derived", "map 40003000+1000 = 0, derived",
        "map 40000000+1000 = 0, assumed",
      ])
    #expect(replayed.nothing == [.faultedAgain: 1])
    #expect(replayed.divergences == ["D15 explained E14 x2"])
  }

  @Test("Without probes the next fault on the page tells of it")
  func ignoredHole() throws {
    let story = punched()
    story.options.ignoresProbes = true
    let replayed = try story.replay()
    #expect(replayed.operations(.unmap) == ["unmap 40000000+1000 = 0, assumed"])
    #expect(replayed.result.divergences.unexplained == 0)
  }

  @Test("The probe of a notifier is no hole of its own")
  func notifierProbe() throws {
    let story = story()
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.vmm, story.congruentHVA)
    unmapFrames(story, 0..<1)
    #expect(try story.replay().operations(.unmap) == ["unmap 40000000+1000 = 0, derived"])
  }

  @Test("What its notifier has unmapped goes once more with the file, if its thread closes that")
  func closedFile() throws {
    for isClosed in [true, false] {
      let story = story()
      story.handle(.vcpu0, story.memory, level: 1)
      story.stop(.vcpu0)
      story.unmap(.vmm, story.congruentHVA)
      for _ in 0..<(isClosed ? 2 : 1) { unmapFrames(story, 0..<1) }
      story.destroyVM()
      let replayed = try story.replay()
      // Closing takes nothing from the table that is not gone already.
      #expect(
        replayed.operations
          == ["map 40000000+1000 = 0, assumed", "unmap 40000000+1000 = 0, derived"]
          + (isClosed ? ["unmap 40000000+1000 = 0, assumed"] : []))
      #expect(replayed.all.dropFirst().allSatisfy { $0.tid == ThreadID(Scenario.Thread.vmm.tid) })
      #expect(replayed.nothing.isEmpty && replayed.divergences.isEmpty)
      #expect(replayed.result.vms[0].lastMemory?.tables.live == replayed.result.vms[0].memory.tables.peak - 2)
    }
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
