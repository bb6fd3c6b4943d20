import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// The commit is lost that switches logging on or off, or moves a slot, on a host with the traditional table.
@Suite("Lost memslot commits")
struct LostCommitTests {
  /// A slot that may hold blocks.
  private func story(flags: UInt64) -> Scenario {
    let story = Scenario()
    story.profile = Profile(path: .traditional, era: .v7_3)
    story.profile.ipaBits = 40
    story.createSlot(hva: story.congruentHVA, flags: flags)
    story.createSlot(id: 1, ipa: elsewhere, hva: story.crookedHVA + 0x1000_0000)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    return story
  }

  /// Where another slot lies.
  private let elsewhere: UInt64 = 0x8000_0000

  /// Events are lost of a CPU on which a thread of the VMM ran, and then none are.
  private func lose(_ story: Scenario) {
    story.run(.vmm)
    story.loseEvents(cpu: Scenario.Thread.vmm.cpu)
    story.run(.vmm)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    // A vCPU gets on, so no unmap goes on that began in the gap.
    for number in 0..<2 { story.handle(.vcpu0, elsewhere + UInt64(number) * story.page) }
  }

  /// The operations on the slot that may hold blocks.
  private func operations(
    _ story: Scenario, _ kinds: Set<OperationKind> = [.map, .relaxPerms]
  ) throws
    -> [Stage2Operation]
  {
    try story.replay().all.filter { $0.address.rawValue < elsewhere && kinds.contains($0.kind) }
  }

  private func lines(_ story: Scenario, _ kinds: Set<OperationKind> = [.map]) throws -> [String] {
    try operations(story, kinds).map(\.line)
  }

  /// What is not for want of knowledge of tables.
  private func divergences(_ story: Scenario) throws -> [String] {
    try story.replay().divergences.filter { !$0.hasPrefix("D15 ") }
  }

  private func line(_ operation: Stage2Operation) -> String {
    "\(operation.line), rights \(operation.protBasis?.name ?? "none")"
  }

  @Test("That a slot logs is not known: a block is assumed, and where pages come, none contradicts it")
  func loggingSwitchedOn() throws {
    let story = story(flags: 0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    lose(story)
    for number in 0..<4 {
      let page = story.memory + story.block + UInt64(number) * story.page
      story.handle(.vcpu0, page, level: number == 0 ? 2 : 3)
      story.handle(.vcpu0, page, .permission, level: 3, .write)
    }
    let behind = try operations(story).dropFirst(2)
    #expect(behind.count == 8)
    #expect(behind.allSatisfy { $0.protBasis != .derived || $0.kind == .relaxPerms }, "\(behind.map(line))")
    #expect(try story.replay().result.divergences.unexplained == 0)
    // After the first write that lacks the right, it is taken to log.
    #expect(
      behind.suffix(2).map(\.line) == [
        "map 40203000+1000 = 0, derived", "relax_perms 40203000 = 0, assumed",
      ], "\(behind.map(line))")
  }

  @Test("That a block comes is not derived behind a gap in which logging may have been switched on")
  func blockBehindGap() throws {
    let story = story(flags: 0)
    lose(story)
    story.handle(.vcpu0, story.memory, level: 1, .write)
    #expect(try lines(story) == ["map 40000000+200000 = 0, assumed"])
    // What follows proves it.
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    #expect(try lines(story) == ["map 40000000+200000 = 0, derived"])
  }

  @Test("Nor is a page where it may have been switched off, unless what follows proves it")
  func pageBehindGap() throws {
    let story = story(flags: 1)
    lose(story)
    story.handle(.vcpu0, story.memory, level: 1)
    #expect(try lines(story) == ["map 40000000+1000 = 0, assumed"])
    #expect(try operations(story).last?.protBasis == .assumed)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    #expect(try lines(story) == ["map 40000000+200000 = 0, derived"])
  }

  @Test("A commit of the slot tells its flags, and what they were just before")
  func toldAgain() throws {
    let story = story(flags: 0)
    lose(story)
    story.handle(.vcpu0, story.memory, level: 1)
    story.run(.vmm)
    story.setFlags(0, hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory + story.block, level: 2)
    story.handle(.vcpu0, story.memory + story.block, .permission, level: 2, .exec)
    #expect(
      try lines(story) == ["map 40000000+1000 = 0, assumed", "map 40200000+200000 = 0, derived"])
    #expect(try story.replay().result.divergences.unexplained == 0)
  }

  @Test("A right to write that is gone behind a gap is no divergence; without a gap it is one")
  func writeProtected() throws {
    for isLost in [false, true] {
      let story = story(flags: 0)
      if isLost { lose(story) }
      story.handle(.vcpu0, story.memory, level: 1, .write)
      story.handle(.vcpu0, story.memory + story.page, .permission, level: 2, .exec)
      story.handle(.vcpu0, story.memory, .permission, level: 2, .write)
      let found = try divergences(story)
      #expect(found == [isLost ? "D11 unknown E6" : "D11 unexplained"])
    }
  }

  @Test("A slot that was read-only takes a write: it is so no longer")
  func writable() throws {
    let story = story(flags: 2)
    lose(story)
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory + story.block, level: 2, .write)
    #expect(try lines(story).last == "map 40200000+200000 = 0, assumed")
    #expect(try operations(story).first?.protBasis == .assumed)
  }

  @Test("An access to a device where a slot was before a gap contradicts nothing")
  func device() throws {
    for isLost in [false, true] {
      let story = story(flags: 0)
      if isLost { lose(story) }
      story.fault(.vcpu0, story.memory, level: 1, .write)
      story.mmio(.vcpu0, story.memory)
      story.exitToVMM(.vcpu0)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory + story.block, level: 1)
      let found = try divergences(story)
      #expect(found == [isLost ? "D8 unknown E6" : "D8 unexplained"])
    }
  }

  @Test("Of a slot whose move is lost the next one says where it was, and that it is not there any more")
  func lostMove() throws {
    let story = story(flags: 0)
    let other = story.memory + 0x1000_0000
    lose(story)
    // From here to there is lost.
    story.moveSlot(from: other, to: story.memory, hva: story.congruentHVA)
    story.moveSlot(from: story.memory, to: other, hva: story.congruentHVA)
    for _ in 0..<2 {
      story.fault(.vcpu0, story.memory, level: 1, .write)
      story.mmio(.vcpu0, story.memory)
      story.exitToVMM(.vcpu0)
      story.enter(.vcpu0)
      story.handle(.vcpu0, other, level: 1)
    }
    #expect(try story.replay().result.divergences.unexplained == 0)
  }

  @Test(
    "A slot that is created where one is does not make another VM, if the deletion may be lost and a vCPU runs"
  )
  func lostDeletion() throws {
    let story = story(flags: 0)
    story.handle(.vcpu0, story.memory, level: 1)
    lose(story)
    story.createSlot(hva: story.congruentHVA)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    let replayed = try story.replay()
    #expect(replayed.result.vms.count == 1)
    #expect(replayed.result.divergences.unexplained == 0)
    // A VM whose vCPUs are not seen to run may be another one; of its table nothing is known.
    let stopped = self.story(flags: 0)
    stopped.handle(.vcpu0, stopped.memory, level: 1)
    for vcpu in [Scenario.Thread.vcpu0, .vcpu1] { stopped.stop(vcpu) }
    stopped.run(.vmm)
    stopped.loseEvents(cpu: Scenario.Thread.vmm.cpu)
    stopped.run(.vmm)
    stopped.createSlot(hva: stopped.congruentHVA)
    stopped.enter(.vcpu0)
    stopped.handle(.vcpu0, stopped.memory, .permission, level: 2, .exec)
    #expect(try stopped.replay().result.divergences.unexplained == 0)
  }

  @Test("What is lost may be in force a little before the gap: a right that logging takes is assumed there")
  func inForceBefore() throws {
    for isLost in [false, true] {
      let story = story(flags: 1)
      story.handle(.vcpu0, story.memory, level: 1)
      if isLost { lose(story) }
      let first = try operations(story).first
      #expect(first?.line == "map 40000000+1000 = 0, \(isLost ? "assumed" : "derived")")
    }
  }

  @Test("A block that is proven before a gap is derived")
  func provenBefore() throws {
    let story = story(flags: 0)
    story.handle(.vcpu0, story.memory, level: 1)
    story.handle(.vcpu0, story.memory, .permission, level: 2, .exec)
    story.handle(.vcpu0, story.memory + story.block, level: 2)
    story.handleAccessFault(.vcpu0, story.memory + story.block + story.page, level: 2)
    lose(story)
    let found = try lines(story)
    #expect(found == ["map 40000000+200000 = 0, derived", "map 40200000+200000 = 0, derived"])
  }

  @Test("The size of the host's pages is known until events are missing: an unmap may be among them")
  func hostSize() throws {
    for isLost in [false, true] {
      let story = story(flags: 0)
      story.handle(.vcpu0, story.memory, level: 1)
      story.handle(.vcpu0, story.memory + story.page, level: 3)
      if isLost { lose(story) }
      story.handle(.vcpu0, story.memory + 2 * story.page, level: isLost ? 2 : 3)
      let last = try story.replay().all.last
      #expect(last?.basis == (isLost ? .assumed : .derived))
    }
  }
}
