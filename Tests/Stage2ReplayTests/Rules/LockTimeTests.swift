import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// The time under mmu_lock that a trace records: each event of a story comes a microsecond after the one before.
@Suite("Recorded time under the lock")
struct LockTimeTests {
  static let kvm: UInt64 = 0xffff_0000

  @Test("A hold goes from the entry of a function to its return, in the mode of its caller")
  func holds() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    for page in 0..<3 {
      story.fault(.vcpu0, story.memory + UInt64(page) * story.page)
      story.recordMap(.vcpu0, story.memory + UInt64(page) * story.page)
      story.enter(.vcpu0)
    }
    story.unmap(.kswapd, story.crookedHVA)
    story.recordUnmap(.kswapd, story.memory)
    let lock = try #require(try story.replay().result.vms[0].lock)
    #expect(lock.byOperation[.map]?.hold.count == 3)
    #expect(lock.byOperation[.map]?.hold.total == Nanoseconds(3000))
    #expect(lock.byOperation[.map]?.hold.longest == Nanoseconds(1000))
    #expect(lock.byOperation[.map]?.mode == .write)
    #expect(lock.byOperation[.unmap]?.hold.total == Nanoseconds(1000))
    #expect(lock.writeHold?.count == 4)
    #expect(lock.readHold == nil)
    #expect(lock.writeWait == nil)
    #expect(lock.series.values.reduce(0) { $0 + $1.writeHeld } == 4000)
  }

  @Test("Faults of the traditional path hold the lock to read")
  func readers() throws {
    let story = Scenario()
    story.profile.path = .traditional
    story.profile.faultLock = .read
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.recordMap(.vcpu0, story.memory)
    story.enter(.vcpu0)
    let lock = try #require(try story.replay().result.vms[0].lock)
    #expect(lock.byOperation[.map]?.mode == .read)
    #expect(lock.readHold?.total == Nanoseconds(1000))
    #expect(lock.writeHold == nil)
  }

  @Test("A wait goes from contention_begin to contention_end on the VM's own lock")
  func waits() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.contend(.vcpu0, lock: Self.kvm, flags: 5)
    story.contend(.vmm, lock: 0xffff_1000, flags: 5)
    story.acquire(.vcpu0, lock: Self.kvm)
    story.enter(.vcpu0)
    story.acquire(.vmm, lock: 0xffff_1000)
    let lock = try #require(try story.replay().result.vms[0].lock)
    #expect(lock.writeWait?.count == 1)
    #expect(lock.writeWait?.total == Nanoseconds(2000))
    #expect(lock.readWait == nil && lock.writeHold == nil)
  }

  @Test("With probes left out of account, there are no holds")
  func ignoredProbes() throws {
    let story = Scenario()
    story.options.ignoresProbes = true
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.recordMap(.vcpu0, story.memory)
    story.enter(.vcpu0)
    #expect(try story.replay().result.vms[0].lock == nil)
  }
}
