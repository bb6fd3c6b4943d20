import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// Whether a fault performed an operation: `mmu_invalidate_retry` is the one exit that leaves no event.
@Suite("Faults that came to nothing")
struct RetryTests {
  @Test("A fault with no unmap in reach performed its operation, at the end of its window")
  func performed() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.wait(microseconds: 100_000)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40000000+1000 = 0, derived"])
    #expect(replayed.all.map(\.time.rawValue) == [story.now])
  }

  @Test("A vCPU that unmaps memory of its VM inside its fault performs nothing")
  func ownUnmap() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory, .translation, .write)
    story.unmap(.vcpu0, story.crookedHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, .write)
    let replayed = try story.replay()
    #expect(
      replayed.operations == ["unmap 40000000+1000 = 0, derived", "map 40000000+1000 = 0, derived"])
    #expect(replayed.nothing == [.ownUnmap: 1])
  }

  @Test("A vCPU that unmaps memory of no slot inside its fault performs its operation")
  func ownUnmapElsewhere() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.unmap(.vcpu0, 0x1000_0000)
    story.enter(.vcpu0)
    #expect(try story.replay().operations == ["map 40000000+1000 = 0, derived"])
  }

  @Test("With an unmap of another page in progress, a page that faults again was not mapped")
  func faultedAgain() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations(.map) == ["map 40000000+1000 = 0, assumed"])
    #expect(replayed.all.last?.time.rawValue == story.now)
    #expect(replayed.nothing == [.faultedAgain: 1])
  }

  @Test(
    "With an unmap of another page in progress, a right that is missing again was not granted",
    arguments: [Scenario.Access.exec, .write])
  func lackedAgain(_ access: Scenario.Access) throws {
    let story = Scenario()
    story.createSlot(flags: access == .write ? 2 : 0)
    if access == .write { story.setFlags(0) }
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    // vCPU 1 copies another page, and comes to the end of that when vCPU 0 has faulted twice.
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory + 9 * story.page)
    story.fault(.vcpu1, story.memory + 9 * story.page, .permission, .write)
    story.unmap(.vcpu1, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory, .permission, access)
    story.handle(.vcpu0, story.memory, .permission, access)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, .permission, access)
    let replayed = try story.replay()
    #expect(replayed.operations(.relaxPerms) == ["relax_perms 40000000 = 0, derived"])
    #expect(replayed.nothing == [.ownUnmap: 1, .faultedAgain: 2])
    #expect(replayed.divergences == [])
  }

  @Test("The page's next fault counts across an exit to the VMM, and by its vCPU's last entry only")
  func faultedAgainLater() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.fault(.vcpu0, story.memory)
    story.exitToVMM(.vcpu0)
    // This vCPU entered before the window's end: it may have walked the table before.
    story.handle(.vcpu1, story.memory)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.nothing == [.faultedAgain: 2])
    #expect(replayed.operations(.map).count == 1)
  }

  @Test(
    "With no unmap in reach, a page that faults again was mapped all the same, and is not mapped any more")
  func faultedAgainWithoutUnmap() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, story.memory)
    #expect(
      try story.replay().operations
        == ["map 40000000+1000 = 0, derived", "map 40000000+1000 = 0, assumed"])
  }

  /// A vCPU lacks the right to execute a page while another page is being unmapped, and once more after it has done
  /// something else.
  private func lackingRight(
    _ story: Scenario, second: Scenario.Thread = .vcpu0, _ access: Scenario.Access = .exec
  ) throws -> Replayed {
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory, .permission, access)
    story.handle(.vcpu0, story.memory + story.page, pc: 0x2000)
    if second.tid != Scenario.Thread.vcpu0.tid || second.cpu != Scenario.Thread.vcpu0.cpu {
      story.enter(second)
    }
    story.handle(second, story.memory, .permission, access)
    return try story.replay()
  }

  @Test("A right that the vCPU lacks once more was not granted", arguments: [Scenario.Access.exec, .write])
  func rightLackingAgain(access: Scenario.Access) throws {
    let story = Scenario()
    story.createSlot()
    let replayed = try lackingRight(story, access)
    #expect(replayed.operations(.relaxPerms) == ["relax_perms 40000000 = 0, assumed"])
    #expect(replayed.nothing == [.faultedAgain: 1])
    // Neither is the second fault held against what the first one did not do.
    #expect(!replayed.divergences.contains { $0.hasPrefix("D13") })
  }

  /// A vCPU lacks a right while memory is being unmapped, and takes an access flag fault on the page.
  private func agedAfterRight(_ access: Scenario.Access, unmapped page: UInt64) -> Scenario {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA + page * story.page)
    story.handle(.vcpu0, story.memory, .permission, access, pc: 0x2000)
    // The unmap goes on: another thread's.
    story.age(Scenario.Thread(tid: 61, cpu: 3), story.crookedHVA)
    story.handleAccessFault(.vcpu0, story.memory)
    return story
  }

  @Test(
    "An access flag fault says nothing of the right that was missing",
    arguments: [Scenario.Access.exec, .write])
  func rightLackingAfterAge(access: Scenario.Access) throws {
    let story = agedAfterRight(access, unmapped: 9)
    for _ in 0..<4 { story.handle(.vcpu0, story.memory, .permission, access, pc: 0x2000) }
    let replayed = try story.replay()
    #expect(replayed.operations(.relaxPerms).count == 1)
    #expect(!replayed.divergences.contains { $0.hasPrefix("D13") })
  }

  @Test(
    "Where the access flag fault met the leaf, what took that came later than the right",
    arguments: [Scenario.Access.exec, .write])
  func leafSeenAfterRight(access: Scenario.Access) throws {
    let story = agedAfterRight(access, unmapped: 9)
    story.handle(.vcpu0, story.memory, pc: 0x2000)
    let replayed = try story.replay()
    #expect(replayed.operations(.relaxPerms) == ["relax_perms 40000000 = 0, assumed"])
    #expect(replayed.nothing == [:])
  }

  @Test("A leaf that lacked a right was there, so where none is found later it went since")
  func leafGoneAfterRight() throws {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    story.unmap(.kswapd, story.congruentHVA + story.block)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec, pc: 0x2000)
    story.run(.kswapd)
    story.setFlags(1, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory + 5 * story.page, .permission, level: 2, .write, pc: 0x3000)
    story.handle(.vcpu0, story.memory, pc: 0x4000)
    let replayed = try story.replay()
    #expect(replayed.operations(.relaxPerms) == ["relax_perms 40000000 = 0, assumed"])
    #expect(replayed.divergences.isEmpty)
  }

  @Test("A right that is only taken to be granted is missing later, and contradicts nothing")
  func assumedRightMissing() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    story.handle(.vcpu0, story.memory + story.page, pc: 0x2000)
    // The unmap is over, and a fault for another right says nothing of the first.
    story.age(.kswapd, story.crookedHVA + 8 * story.page)
    story.handle(.vcpu0, story.memory, .permission, .write)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    let replayed = try story.replay()
    #expect(replayed.operations(.relaxPerms).count == 3)
    #expect(replayed.divergences == ["D13 explained E14"])
  }

  @Test("A right goes with the page that a block replaces, which may break again")
  func rightGoneWithPage() throws {
    let story = Scenario()
    story.profile.path = .traditional
    story.createSlot(hva: story.congruentHVA, flags: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.kswapd, story.congruentHVA + 600 * story.page)
    story.handle(.vcpu0, story.memory, .permission, .exec)
    story.handle(.vcpu0, story.memory + 601 * story.page, pc: 0x2000)
    story.age(.kswapd, story.congruentHVA + 601 * story.page)
    story.setFlags(0, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory + story.page, level: 3)
    story.handle(.vcpu0, story.memory + 2 * story.page, .permission, level: 2, .exec)
    story.setFlags(1, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory + 3 * story.page, .permission, level: 2, .write)
    story.handle(.vcpu0, story.memory, level: 3)
    let replayed = try story.replay()
    #expect(replayed.operations(.relaxPerms).first == "relax_perms 40000000 = 0, assumed")
    #expect(replayed.nothing[.faultedAgain] == nil)
  }

  @Test(
    "Another vCPU, or another CPU, may lack the right because of its TLB: it was granted, as far as one can tell"
  )
  func rightLackingElsewhere() throws {
    for second in [Scenario.Thread.vcpu1, Scenario.Thread(tid: Scenario.Thread.vcpu0.tid, cpu: 1)] {
      let story = Scenario()
      story.createSlot()
      #expect(try lackingRight(story, second: second).operations(.relaxPerms).count == 2)
    }
  }

  @Test("Where dirty pages are logged the right to write is taken back, that to execute is not")
  func rightTakenBack() throws {
    for (access, count) in [(Scenario.Access.write, 2), (.exec, 1)] {
      let story = Scenario()
      story.createSlot(flags: 1)
      #expect(try lackingRight(story, access).operations(.relaxPerms).count == count)
    }
  }

  @Test("An instruction that has to be fetched anew says nothing of how far it got")
  func fetchedAnew() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, story.memory + story.page, .translation, .exec)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.nothing == [.faultedAgain: 1])
    #expect(!replayed.divergences.contains { $0.hasPrefix("D1 ") })
  }

  @Test("An unmap is over once its thread does what it cannot do inside an invalidation")
  func finishedUnmap() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.age(.kswapd, story.crookedHVA + 8 * story.page)
    story.handle(.vcpu0, story.memory)
    #expect(try story.replay().operations(.map) == ["map 40000000+1000 = 0, derived"])
  }

  @Test(
    "A page that is unmapped between two faults on it says nothing: mapped, as far as one can tell",
    arguments: [0x1000, 0x2000])
  func unmappedInBetween(pc: UInt64) throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    // The unmap accounts for the second fault, of the same instruction, too.
    story.handle(.vcpu0, story.memory, pc: pc)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).count == 2)
    #expect(replayed.nothing == [:])
  }

  @Test("A page that NUMA balancing takes away again and again is mapped again and again")
  func pingPong() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + 9 * story.page, level: 1)
    for _ in 0..<40 {
      story.handle(.vcpu0, story.memory)
      story.wait(microseconds: 50_000)
      story.unmap(.kswapd, story.crookedHVA)
      story.wait(microseconds: 50_000)
    }
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).count == 42)
    #expect(replayed.nothing == [:])
    #expect(replayed.divergences == [])
  }

  @Test("What made a fault retry is taken to have gone on, though the page is unmapped before the next one")
  func unmappedAmongRetries() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    for _ in 0..<3 { story.handle(.vcpu0, story.memory) }
    story.unmap(.kswapd, story.crookedHVA, bytes: 20 * story.page)
    for _ in 0..<2 { story.handle(.vcpu0, story.memory) }
    let replayed = try story.replay()
    #expect(replayed.nothing == [.faultedAgain: 4])
    #expect(replayed.operations(.map).count == 1)
  }

  @Test("A page whose block was broken for logging says nothing either, when it faults again")
  func brokenInBetween() throws {
    let story = Scenario()
    let hva = story.congruentHVA
    story.createSlot(hva: hva, flags: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.unmap(.kswapd, hva + story.block + 9 * story.page)
    story.handle(.vcpu0, story.memory + story.page)
    story.setFlags(0, hva: hva)
    story.handle(.vcpu0, story.memory, .permission, .write, pc: 0x2000)
    story.setFlags(1, hva: hva)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .write, pc: 0x3000)
    story.handle(.vcpu0, story.memory + story.page, pc: 0x4000)
    let replayed = try story.replay()
    #expect(
      replayed.all.filter { $0.kind == .map }.map(\.size) == [
        story.page, story.page, story.block, story.page, story.page,
      ])
    #expect(replayed.nothing == [:])
  }

  @Test("A copy-on-write of a vCPU that has not entered again makes another vCPU's fault retry")
  func copyOnWriteRace() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, .translation, .read)
    // vCPU 1 copies the page: the unmap waits for the lock, while vCPU 0 faults on the page that is gone.
    story.fault(.vcpu1, story.memory, .permission, .write)
    story.unmap(.vcpu1, story.crookedHVA)
    story.fault(.vcpu0, story.memory)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory, .translation, .write)
    story.enter(.vcpu0)
    // What vCPU 0 finds when it runs again is vCPU 1's mapping.
    story.handle(.vcpu0, story.memory, .permission, .write)
    let replayed = try story.replay()
    #expect(replayed.nothing == [.ownUnmap: 1, .faultedAgain: 1])
    #expect(replayed.operations(.map).count == 2)
  }

  @Test("The second of two vCPUs that map a page on pKVM gets -EAGAIN, and nothing about it is certain")
  func secondVCPU() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory)
    story.fault(.vcpu1, story.memory)
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(
      replayed.operations == ["map 40000000+1000 = 0, assumed", "map 40000000+1000 = -11, assumed"])
    #expect(replayed.all.map(\.tid.rawValue) == [1002, 1001])
  }

  @Test("A fault whose KVM_RUN fails performs nothing; a signal is no failure")
  func failedRun() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.exitToVMM(.vcpu0, errno: -14)
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory + story.page)
    story.exitToVMM(.vcpu0, errno: -4)
    story.enter(.vcpu0)
    let replayed = try story.replay()
    #expect(replayed.operations == ["map 40001000+1000 = 0, derived"])
    #expect(replayed.nothing == [.failed: 1])
  }

  @Test("A fault of any other status performs nothing")
  func otherStatus() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .exclusiveOrAtomic)
    let replayed = try story.replay()
    #expect(replayed.operations.isEmpty)
    #expect(replayed.nothing == [.otherFault: 1])
    #expect(replayed.result.vms[0].faults.other == 1)
  }

  @Test("With larger pages the address of mkyoung is that of the fault, to 4 KiB")
  func accessFaultAddress() throws {
    let story = Scenario(.size16K)
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.age(.kswapd, story.crookedHVA)
    story.handleAccessFault(.vcpu0, story.memory + 0x3000)
    #expect(try story.replay().operations(.mkyoung) == ["mkyoung 40003000, derived"])
  }

  @Test("A block that is broken takes its other pages with it: they were mapped before")
  func brokenBlock() throws {
    let story = Scenario()
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.unmap(.kswapd, story.congruentHVA + story.block)
    story.handle(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu0, story.memory + story.page, .permission, level: 2, .write, pc: 0x2000)
    story.handle(.vcpu0, story.memory, pc: 0x3000)
    #expect(try story.replay().nothing == [:])
  }

  @Test("Where dirty pages are logged, a write that faults again at once had no right granted")
  func againAtOnce() throws {
    for interrupts in [0, 1] {
      let story = Scenario()
      story.createSlot(flags: 1)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory)
      story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
      story.fault(.vcpu0, story.memory, .permission, .write)
      // The unmap is over.
      if interrupts > 0 { story.testAge(.kswapd, story.crookedHVA + 20 * story.page) }
      story.enter(.vcpu0)
      for _ in 0..<interrupts {
        story.exit(.vcpu0)
        story.enter(.vcpu0)
      }
      story.handle(.vcpu0, story.memory, .permission, .write)
      #expect(try story.replay().nothing == (interrupts == 0 ? [.faultedAgain: 1] : [:]))
    }
  }

  @Test("An access flag fault makes the page young")
  func accessFault() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.age(.kswapd, story.crookedHVA)
    story.handleAccessFault(.vcpu0, story.memory)
    story.testAge(.kswapd, story.crookedHVA)
    let replayed = try story.replay()
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, derived", "test_clear_young 40000000+1000 = 1, assumed",
        "mkyoung 40000000, derived", "test_clear_young 40000000+1000 = 1, assumed",
      ])
    #expect(replayed.all.map(\.markOld) == [false, true, false, false])
  }
}
