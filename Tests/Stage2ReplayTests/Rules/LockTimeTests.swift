import KVMTypes
import Stage2Model
import Testing
import TraceSynth

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

  @Test(
    "Time held and waited lies in the intervals that it covers, and no interval is held to write for longer than it is"
  )
  func longTimes() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.contend(.vcpu0, lock: Self.kvm, flags: 5)
    story.wait(microseconds: 700)
    story.acquire(.vcpu0, lock: Self.kvm)
    _ = story.beginMap(.vcpu0, story.memory)
    story.wait(microseconds: 1000)
    story.endMap(.vcpu0)
    story.enter(.vcpu0)
    let result = try story.replay().result
    let lock = try #require(result.vms[0].lock)
    let interval = result.grid.interval.rawValue
    #expect(interval < 100_000)
    let held = lock.series.values.map(\.writeHeld)
    #expect(held.reduce(0, +) == lock.writeHold?.total.rawValue && held.allSatisfy { $0 <= interval })
    let waited = lock.series.values.map(\.writeWaited)
    #expect(waited.reduce(0, +) == lock.writeWait?.total.rawValue && waited.allSatisfy { $0 <= interval })
    #expect(lock.writeHold?.total == Nanoseconds(1_001_000) && lock.writeWait?.total == Nanoseconds(701_000))
  }

  @Test("What is held before the VM's first fault counts, and what no VM turns out to have held is told")
  func holdsBeforeFaults() throws {
    for jobs in [1, 3] {
      let story = Scenario()
      story.options.jobs = jobs
      story.recordUnmap(.kswapd, story.memory)
      story.createSlot()
      story.unmap(.kswapd, story.crookedHVA)
      story.recordUnmap(.kswapd, story.memory)
      let alone = try story.replay().result
      #expect(alone.unattributedHolds.count == 2 && alone.unattributedHolds.total == Nanoseconds(2000))
      story.enter(.vcpu0)
      story.fault(.vcpu0, story.memory)
      story.recordMap(.vcpu0, story.memory)
      story.enter(.vcpu0)
      let result = try story.replay().result
      #expect(result.vms[0].lock?.byOperation[.unmap]?.hold.count == 1)
      #expect(result.vms[0].lock?.series.values.reduce(0) { $0 + $1.writeHeld } == 2000)
      // The first one was before the VM was there.
      #expect(result.unattributedHolds.count == 1)
    }
  }

  /// What is known of the lock of a VM in which one fault maps a page.
  private func lockOfOneMap(_ story: Scenario) throws -> LockResult {
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.recordMap(.vcpu0, story.memory)
    story.enter(.vcpu0)
    return try #require(try story.replay().result.vms[0].lock)
  }

  @Test("Where waits leave no events, there being none is not known; nor are holds without probes")
  func untold() throws {
    let story = Scenario(
      formats: KVMEventFormats.all.filter { !$0.name.hasPrefix("contention") })
    let lock = try lockOfOneMap(story)
    #expect(!lock.tellsWaits && lock.tellsHolds(.write) && lock.tellsHolds(.read))
    let other = Scenario()
    other.createSlot()
    other.enter(.vcpu0)
    other.fault(.vcpu0, other.memory)
    other.contend(.vcpu0, lock: Self.kvm, flags: 5)
    other.acquire(.vcpu0, lock: Self.kvm)
    other.enter(.vcpu0)
    let waits = try #require(try other.replay().result.vms[0].lock)
    #expect(waits.tellsWaits && !waits.tellsHolds(.write))
    #expect(waits.untimed[.map] == UntimedCalls(mode: .write, modeBasis: .derived, count: nil))
  }

  @Test("A function that nobody would have seen may have run: its holds are in no figure")
  func unseen() throws {
    let names = ["unmap", "unmap_ret", "kvm_unmap_hva_range"]
    for isSeen in [false, true] {
      let story = Scenario(formats: KVMEventFormats.all.filter { isSeen || !names.contains($0.name) })
      let lock = try lockOfOneMap(story)
      #expect(lock.missing(.write) == (isSeen ? [] : [.unmap]) && lock.missing(.read).isEmpty)
      #expect(lock.untimed[.unmap]?.mode == (isSeen ? nil : .write))
      #expect(lock.writeHold?.count == 1 && lock.tellsHolds(.write))
    }
  }

  @Test("Faults of the traditional path hold the lock to read")
  func readers() throws {
    let story = Scenario()
    story.request = ProfileRequest()
    story.request?.path = .traditional
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

  @Test("How the recorded host held the lock does not depend on what is modelled")
  func modeOfRecording() throws {
    let story = Scenario()
    // A wait to write inside a fault: only pKVM has that.
    story.profile.faultLock = .read
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.contend(.vcpu0, lock: Self.kvm, flags: 5)
    story.acquire(.vcpu0, lock: Self.kvm)
    story.recordMap(.vcpu0, story.memory)
    story.enter(.vcpu0)
    let result = try story.replay().result
    let lock = try #require(result.vms[0].lock)
    #expect(lock.byOperation[.map]?.mode == .write && lock.byOperation[.map]?.modeBasis == .derived)
    #expect(lock.writeHold?.count == 1 && lock.readHold == nil)
    #expect(result.lockModes.faultLock == .write)
  }

  @Test("The longest holds and waits are told with their circumstances, the longest first")
  func longest() throws {
    let story = Scenario()
    story.options.longest = 2
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    for page in 0..<3 {
      story.fault(.vcpu0, story.memory + UInt64(page) * story.page)
      story.recordMap(.vcpu0, story.memory + UInt64(page) * story.page)
      story.enter(.vcpu0)
    }
    // vCPU 1 waits for the map of vCPU 0.
    story.fault(.vcpu1, story.memory + 8 * story.page)
    story.fault(.vcpu0, story.memory + 4 * story.page)
    let map = story.beginMap(.vcpu0, story.memory + 4 * story.page)
    story.contend(.vcpu1, lock: Self.kvm, flags: 5)
    story.wait(microseconds: 50)
    story.endMap(.vcpu0)
    story.acquire(.vcpu1, lock: Self.kvm)
    story.recordMap(.vcpu1, story.memory + 8 * story.page)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    let lock = try #require(try story.replay().result.vms[0].lock)
    #expect(lock.longestHolds.count == 2)
    let hold = try #require(lock.longestHolds.first)
    #expect(hold.time.rawValue == map && hold.duration == Nanoseconds(52_000))
    #expect(hold.tid.rawValue == Scenario.Thread.vcpu0.tid && hold.mode == .write)
    #expect(hold.operation.kind == .map && hold.operation.address == IPA(story.memory + 4 * story.page))
    let wait = try #require(lock.longestWaits.first)
    #expect(lock.longestWaits.count == 1 && wait.duration == Nanoseconds(52_000))
    #expect(wait.tid.rawValue == Scenario.Thread.vcpu1.tid && wait.operation?.kind == .map)
    #expect(wait.operation?.address == IPA(story.memory + 8 * story.page))
    #expect(wait.faultAddress == IPA(story.memory + 8 * story.page))
    #expect(wait.holder?.tid.rawValue == Scenario.Thread.vcpu0.tid)
    #expect(wait.holder?.operation.address == IPA(story.memory + 4 * story.page))
  }

  @Test("Of many times the longest are kept, of equal ones the first")
  func bounded() {
    var longest = LongestTimes<RecordedHold>(most: 3)
    for time in UInt64(0)..<1000 {
      longest.add(
        RecordedHold(
          time: Nanoseconds(time), duration: Nanoseconds(time % 10), cpu: CPUIndex(0), tid: ThreadID(1),
          mode: .write, operation: LockedOperation(kind: .map, address: IPA(0), size: 0)))
    }
    #expect(longest.entries.map(\.time.rawValue) == [9, 19, 29])
    var none = LongestTimes<RecordedHold>(most: 0)
    if let entry = longest.entries.first { none.add(entry) }
    #expect(none.entries.isEmpty)
  }
}
