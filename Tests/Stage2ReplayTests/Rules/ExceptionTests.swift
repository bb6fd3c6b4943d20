import KVMTypes
import Testing

@testable import Stage2Replay

/// The kvm_entry that ends a fault's window has the fault's PC, unless the guest got an exception in place of the page.
@Suite("Faults that end in an exception of the guest")
struct ExceptionTests {
  private func story(pc: UInt64, exits: Bool) throws -> Replayed {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    if exits { story.exitToVMM(.vcpu0, errno: -4) }
    story.enter(.vcpu0, pc: pc)
    // A handler, which says nothing of the instruction that faulted.
    story.handle(.vcpu0, story.memory + story.page, pc: pc + 0x20)
    return try story.replay()
  }

  @Test("A vCPU that goes on at an exception vector got no page: the VMM was told that it is poisoned")
  func poisoned() throws {
    for vector: UInt64 in [0x8200, 0x8400, 0x8600] {
      let replayed = try story(pc: vector, exits: true)
      #expect(replayed.operations == ["map 40001000+1000 = 0, derived"])
      #expect(replayed.nothing == [.gotException: 1])
    }
  }

  @Test("A vCPU that repeats the instruction after a signal got its page")
  func signalled() throws {
    let replayed = try story(pc: 0x1000, exits: true)
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, derived", "map 40001000+1000 = 0, derived"])
  }

  /// A fault that ends in a signal, what the thread unmaps before it goes on, and the next fault.
  private func replaced(
    bytes: UInt64? = nil, errno: Int32 = -4, reclaims: Bool = false, by thread: Scenario.Thread? = .vcpu0
  ) throws -> Replayed {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.exitToVMM(.vcpu0, reason: 10, errno: errno)
    if reclaims { story.age(.vcpu0, story.crookedHVA) }
    if let thread { story.unmap(thread, story.crookedHVA, bytes: bytes) }
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    return try story.replay()
  }

  private let mapped = "map 40000000+1000 = 0"

  @Test("A page that its thread replaces after a signal had failed: the fault on it mapped nothing")
  func failed() throws {
    let replayed = try replaced()
    #expect(
      replayed.operations == ["unmap 40000000+1000 = 0, derived", "\(mapped), derived"])
    #expect(replayed.nothing == [.faultedAgain: 1])
  }

  @Test("What is unmapped by another thread, or otherwise, before the same fault comes again does not say so")
  func unmapped() throws {
    for replayed in [
      try replaced(by: .vmm), try replaced(bytes: 3 * 0x1000), try replaced(errno: 0),
      try replaced(reclaims: true),
    ] {
      #expect(replayed.operations.first == "\(mapped), derived")
      #expect(replayed.nothing == [:])
    }
  }

  @Test("A fault that comes again after a signal, with nothing unmapped in between, was of failed memory")
  func failsAgain() throws {
    let replayed = try replaced(by: nil)
    #expect(replayed.operations == ["\(mapped), derived"])
    #expect(replayed.nothing == [.faultedAgain: 1])
  }

  @Test("A vCPU that the VMM lets begin anew may have got its page before")
  func reset() throws {
    let replayed = try story(pc: 0x4000_0000, exits: true)
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, assumed", "map 40001000+1000 = 0, derived"])
    #expect(replayed.nothing == [:])
  }

  @Test("A vCPU that goes on elsewhere without a return to the VMM got an exception from KVM")
  func injected() throws {
    let replayed = try story(pc: 0x4000_0000, exits: false)
    #expect(replayed.operations == ["map 40001000+1000 = 0, derived"])
    #expect(replayed.nothing == [.gotException: 1])
  }

  @Test("What is not known of a page is not known of its age either, until all of the region was aged")
  func age() throws {
    for (pc, basis) in [(UInt64(0x8200), "assumed"), (0x1000, "derived")] {
      let story = Scenario()
      story.createSlot()
      story.enter(.vcpu0)
      story.fault(.vcpu0, story.memory)
      story.exitToVMM(.vcpu0, errno: -4)
      story.enter(.vcpu0, pc: pc)
      story.age(.kswapd, story.crookedHVA + 9 * story.page)
      story.age(.kswapd, story.crookedHVA, bytes: story.block)
      story.age(.kswapd, story.crookedHVA + 9 * story.page)
      let answers = try story.replay().operations(.testClearYoung)
      #expect(answers.first == "test_clear_young 40009000+1000 = 0, \(basis)")
      #expect(answers.last == "test_clear_young 40009000+1000 = 0, derived")
    }
  }
}
