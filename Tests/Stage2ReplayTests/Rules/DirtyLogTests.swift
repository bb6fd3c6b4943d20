import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// When a dirty log was cleared, and which pages that write-protected: no event tells, the guest's write faults do.
@Suite("Clearing of dirty logs")
struct DirtyLogTests {
  static let whole = "wrprotect 40000000+400000 = 0, assumed"

  /// A slot that logs, with its vCPUs in the guest, and pages that the first of them has written.
  static func story(written pages: [UInt64], flags: UInt64 = 1) -> Scenario {
    let story = Scenario()
    story.createSlot(flags: flags)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    for page in pages { story.write(page) }
    return story
  }

  /// What was write-protected.
  static func protected(_ story: Scenario) throws -> [String] { try story.replay().operations(.wrprotect) }

  @Test("A write fault on what may be written shows that all that was written was protected, word by word")
  func words() throws {
    let story = Self.story(written: [10, 3, 70])
    story.writeAgain(10)
    #expect(
      try Self.protected(story) == [
        Self.whole, "wrprotect 40003000+8000 = 0, assumed", "wrprotect 40046000+1000 = 0, assumed",
      ])
  }

  @Test("The thread that switched the log on is taken to have cleared it, before the fault that shows it")
  func thread() throws {
    let story = Self.story(written: [3, 4])
    story.writeAgain(3)
    let operations = try story.replay().all
    #expect(operations.map(\.kind) == [.wrprotect, .map, .map, .wrprotect, .relaxPerms])
    #expect(operations[3].tid.rawValue == Scenario.Thread.vmm.tid)
  }

  @Test("What was written before is explained by it, what was written since shows another time")
  func twice() throws {
    let story = Self.story(written: [3, 4, 5])
    story.writeAgain(3)
    story.writeAgain(5)
    story.write(9)
    story.writeAgain(5)
    #expect(
      try Self.protected(story) == [
        Self.whole, "wrprotect 40003000+3000 = 0, assumed", "wrprotect 40003000+7000 = 0, assumed",
      ])
  }

  @Test("Once logging is over the log cannot be cleared: it was before")
  func beforeTheEnd() throws {
    let story = Self.story(written: [3, 4])
    story.setFlags(0)
    story.write(8)
    story.writeAgain(3)
    let replayed = try story.replay()
    #expect(replayed.operations(.wrprotect) == [Self.whole, "wrprotect 40003000+2000 = 0, assumed"])
    #expect(replayed.result.divergences.explained == 0)
  }

  @Test("Nothing shows that a log was cleared at its end where nobody faults on what was written")
  func notShown() throws {
    let story = Self.story(written: [3, 4])
    story.setFlags(0)
    story.write(8)
    #expect(try Self.protected(story) == [Self.whole])
  }

  @Test("A log that begins anew protects the slot: a write fault on what was written before shows nothing")
  func newLog() throws {
    let story = Self.story(written: [3, 4])
    story.setFlags(0)
    story.setFlags(1)
    story.writeAgain(3)
    #expect(try Self.protected(story) == [Self.whole, Self.whole])
  }

  @Test("Another vCPU that entered after the page was mapped cannot have found it read-only otherwise")
  func otherVCPU() throws {
    let story = Self.story(written: [3, 4])
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory + 3 * story.page, .permission, .write, pc: 0x2000)
    #expect(try Self.protected(story) == [Self.whole, "wrprotect 40003000+2000 = 0, assumed"])
  }

  @Test("A right that was added is unknown to other processors' TLBs: another vCPU's fault shows nothing")
  func otherProcessor() throws {
    let story = Self.story(written: [])
    story.handle(.vcpu0, story.memory, level: 3)
    story.handle(.vcpu0, story.memory, .permission, .write)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory, .permission, .write, pc: 0x2000)
    #expect(try Self.protected(story) == [Self.whole])
  }

  @Test("A page that was unmapped and read since was mapped read-only")
  func unmapped() throws {
    let story = Self.story(written: [3, 4])
    story.unmap(.kswapd, story.crookedHVA + 3 * story.page)
    story.age(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory + 3 * story.page)
    story.writeAgain(3)
    #expect(try Self.protected(story) == [Self.whole])
  }

  @Test("A slot that moves keeps its bitmap")
  func moved() throws {
    let story = Self.story(written: [3])
    story.moveSlot(to: 0x8000_0000, flags: 1)
    story.handle(.vcpu0, 0x8000_5000, .translation, .write)
    story.handle(.vcpu0, 0x8000_6000, .translation, .write)
    story.handle(.vcpu0, 0x8000_5000, .permission, .write, pc: 0x2000)
    #expect(
      try Self.protected(story) == [
        Self.whole, "wrprotect 80000000+400000 = 0, assumed", "wrprotect 80003000+4000 = 0, assumed",
      ])
  }

  @Test("What a log took away a fetch brings back once logging is over: the host may write there")
  func fetch() throws {
    let prots = try RightsTests.prots { story in
      story.handle(.vcpu0, story.memory, .translation, .write)
      story.setFlags(1)
      story.setFlags(0)
      story.handle(.vcpu0, story.memory, .permission, .exec)
    }
    #expect(prots == [[.read, .write], [.read, .write, .execute]])
  }
}

/// Eager splitting (KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE): no event tells of it, either.
@Suite("Eager splitting")
struct EagerSplitTests {
  /// A slot of two blocks that are proven to be mapped, on a host with the traditional table, and logging.
  private func story() -> Scenario {
    let story = Scenario()
    story.profile = Profile(path: .traditional, era: .v7_3)
    story.profile.ipaBits = 40
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    for block in [story.memory, story.memory + story.block] {
      story.handle(.vcpu0, block, level: 2, .write)
      story.handle(.vcpu0, block, .permission, level: 2, .exec)
    }
    story.setFlags(1, hva: story.congruentHVA)
    return story
  }

  @Test("A permission fault at level 3 on a proven block shows that the slot's blocks were split")
  func split() throws {
    let story = story()
    story.handle(.vcpu0, story.memory + 5 * story.page, .permission, level: 3, .write)
    story.handle(.vcpu0, story.memory + story.block + 5 * story.page, .permission, level: 3, .write)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.split) == [
        "split 40000000+200000 = 0, assumed", "split 40200000+200000 = 0, assumed",
      ])
    #expect(replayed.divergences == [])
    #expect(replayed.operations(.relaxPerms).suffix(2).allSatisfy { $0.hasSuffix("= 0, derived") })
  }

  @Test("So does an access flag fault: what was aged since is old, in the slot's other blocks, too")
  func splitThenAged() throws {
    for isAccessFault in [true, false] {
      let story = story()
      story.profile.hasHardwareAF = false
      story.age(.kswapd, story.congruentHVA + story.block, bytes: story.block)
      if isAccessFault { story.handleAccessFault(.vcpu0, story.memory + story.block + 5 * story.page) }
      story.handle(.vcpu0, story.memory + 5 * story.page, .permission, level: 3, .write)
      for number in [6, 7] as [UInt64] {
        story.handleAccessFault(.vcpu0, story.memory + story.block + number * story.page)
        story.handle(
          .vcpu0, story.memory + story.block + number * story.page, .permission, level: 3, .write)
      }
      let replayed = try story.replay()
      #expect(replayed.operations(.split).count == 2)
      #expect(replayed.divergences == [])
    }
  }

  @Test("Another vCPU's fault on another page does not put a page there")
  func peer() throws {
    let story = story()
    story.enter(.vcpu1)
    story.fault(.vcpu1, story.memory + 8 * story.page, .permission, level: 3, .write)
    story.handle(.vcpu0, story.memory + 5 * story.page, .permission, level: 3, .write)
    story.enter(.vcpu1)
    let replayed = try story.replay()
    #expect(replayed.operations(.split).count == 2)
    #expect(replayed.divergences == [])
  }

  @Test("A permission fault at level 2 shows that they were not")
  func notSplit() throws {
    let story = story()
    story.handle(.vcpu0, story.memory + 5 * story.page, .permission, level: 2, .write)
    let replayed = try story.replay()
    #expect(replayed.operations(.split) == [])
    #expect(replayed.operations(.map).last == "map 40005000+1000 = 0, derived")
  }

  @Test("pKVM splits nothing")
  func pkvm() throws {
    let story = story()
    story.profile = Scenario().profile
    story.handle(.vcpu0, story.memory + 5 * story.page, .permission, level: 3, .write)
    #expect(try story.replay().operations(.split) == [])
  }
}

extension Scenario {
  /// The first vCPU writes to a page that is not mapped.
  fileprivate func write(_ number: UInt64) {
    handle(.vcpu0, memory + number * page, .translation, .write)
  }

  /// It writes, by another instruction, to one that it may have been allowed to write to, and faults.
  fileprivate func writeAgain(_ number: UInt64) {
    handle(.vcpu0, memory + number * page, .permission, .write, pc: 0x2000)
  }
}
