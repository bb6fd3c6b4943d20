import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// The memory of a protected guest is pinned: nothing that the host does with its own table reaches it.
@Suite("Protected guests")
struct ProtectedGuestTests {
  private func story() -> Scenario {
    let story = Scenario()
    story.profile.isProtected = true
    story.createSlot()
    story.enter(.vcpu0)
    return story
  }

  @Test("A fault maps its page though its own thread unmaps memory: there is no retry")
  func ownUnmap() throws {
    let story = story()
    story.fault(.vcpu0, story.memory, .translation, .write)
    story.unmap(.vcpu0, story.crookedHVA)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived"])
    #expect(replayed.nothing == [:])
  }

  @Test("Notifiers, and the deletion of a slot, do nothing")
  func notifiers() throws {
    let story = story()
    story.handle(.vcpu0, story.memory)
    story.age(.kswapd, story.crookedHVA)
    story.testAge(.kswapd, story.crookedHVA)
    story.unmap(.kswapd, story.crookedHVA)
    story.deleteSlot()
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived"])
    #expect(
      replayed.result.vms[0].hypercalls?.keys.sorted() == [
        "donate_guest", "init_vcpu", "init_vm", "reserve_vm",
      ])
  }

  @Test("A fault on what is mapped is accounted for if KVM_RUN fails: the host took the page")
  func poisoned() throws {
    for (errno, expected) in [(Int32(-14), "D14 explained E8"), (0, "D14 unexplained")] {
      let story = story()
      story.handle(.vcpu0, story.memory)
      story.handle(.vcpu0, story.memory + story.page)
      story.fault(.vcpu0, story.memory, .translation, .write)
      story.exitToVMM(.vcpu0, errno: errno)
      #expect(try story.replay().divergences.filter { $0.hasPrefix("D14") } == [expected])
    }
  }
}
