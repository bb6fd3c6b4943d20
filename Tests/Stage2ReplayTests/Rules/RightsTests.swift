import KVMTypes
import Testing

@testable import Stage2Replay

/// The rights of a mapping, and what takes the right to write away.
@Suite("Rights and write-protection")
struct RightsTests {
  /// The rights of the operations of a VM with one slot that its vCPU has entered.
  static func prots(flags: UInt64 = 0, _ events: (Scenario) -> Void) throws -> [Stage2Prot?] {
    let story = Scenario()
    story.createSlot(flags: flags)
    story.enter(.vcpu0)
    events(story)
    return try story.replay().all.filter { [.map, .relaxPerms].contains($0.kind) }.map(\.prot)
  }

  @Test("A write maps writable, a fetch executable, a read what the host may write")
  func accesses() throws {
    #expect(try Self.prots { $0.handle(.vcpu0, $0.memory, .translation, .write) } == [[.read, .write]])
    #expect(try Self.prots { $0.handle(.vcpu0, $0.memory, .translation, .read) } == [[.read, .write]])
    #expect(
      try Self.prots { $0.handle(.vcpu0, $0.memory, .translation, .exec) } == [[.read, .write, .execute]])
  }

  @Test("A read fault was mapped read-only where a later write faults for want of the right")
  func readOnlyAfterAll() throws {
    let prots = try Self.prots { story in
      story.handle(.vcpu0, story.memory)
      story.handle(.vcpu0, story.memory, .permission, .write)
    }
    #expect(prots == [[.read], [.read, .write]])
  }

  @Test("A write fault after the page was unmapped says nothing about the mapping before")
  func unmappedInBetween() throws {
    let prots = try Self.prots { story in
      story.handle(.vcpu0, story.memory)
      story.unmap(.kswapd, story.crookedHVA)
      story.age(.kswapd, story.crookedHVA + 9 * story.page)
      story.handle(.vcpu0, story.memory)
      story.handle(.vcpu0, story.memory, .permission, .write)
    }
    #expect(prots == [[.read, .write], [.read], [.read, .write]])
  }

  @Test("With dirty logging only a write maps writable")
  func logging() throws {
    let prots = try Self.prots(flags: 1) { story in
      story.handle(.vcpu0, story.memory)
      story.handle(.vcpu0, story.memory + story.page, .translation, .write)
    }
    #expect(prots == [[.read], [.read, .write]])
  }

  @Test("Relaxing adds a right and keeps the others")
  func relax() throws {
    let prots = try Self.prots { story in
      story.handle(.vcpu0, story.memory, .translation, .write)
      story.handle(.vcpu0, story.memory, .permission, .exec)
    }
    #expect(prots == [[.read, .write], [.read, .write, .execute]])
  }

  @Test("A permission fault on a page that is mapped by no one returns what the kernel returns")
  func relaxUnmapped() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .permission, .write)
    let replayed = try story.replay()
    #expect(replayed.operations(.relaxPerms).count == 1)
    #expect(replayed.all[0].basis == .assumed)
  }

  // MARK: Dirty logging

  @Test("Switching dirty logging on write-protects the slot; switching it off does nothing")
  func commit() throws {
    let story = Scenario()
    story.createSlot()
    story.setFlags(1)
    story.setFlags(0)
    #expect(try story.replay().operations == ["wrprotect 40000000+400000 = 0, assumed"])
  }

  @Test("A second write fault of the vCPU that may write proves that the page was write-protected")
  func provenByFault() throws {
    let story = Scenario()
    story.createSlot(flags: 1)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, .write)
    story.handle(.vcpu0, story.memory, .permission, .write)
    #expect(
      try story.replay().operations == [
        "wrprotect 40000000+400000 = 0, assumed", "map 40000000+1000 = 0, derived",
        "wrprotect 40000000+1000 = 0, assumed", "relax_perms 40000000 = 0, derived",
      ])
  }

  @Test("Another vCPU's write fault proves nothing: its TLB may hold the mapping as it was")
  func otherVCPU() throws {
    let story = Scenario()
    story.createSlot(flags: 1)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.handle(.vcpu0, story.memory, .translation, .write)
    story.handle(.vcpu1, story.memory, .permission, .write)
    #expect(try story.replay().operations(.wrprotect) == ["wrprotect 40000000+400000 = 0, assumed"])
  }
}
