import KVMTrace
import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// The observer of mmu_lock by itself, told what an attribution would tell it: threads 0 and 1 run vCPUs of VM 0, thread 2 one of
/// VM 1, thread 3 is of the host.
@Suite("The observer of mmu_lock")
struct LockObserverTests {
  private static let locks: [UInt64] = [0xf000, 0xf001]
  private static let tables: [UInt64] = [0x1000, 0x2000]

  private static func observer(sections: Bool = false) -> LockObserver {
    var options = ReplayOptions()
    options.keepsSections = sections
    let host = Profile(path: .pkvm, era: .v7_3)
    return LockObserver(
      RecordedLockModes(of: host, pathBasis: .derived),
      grid: TimeGrid(from: Nanoseconds(0), to: Nanoseconds(100_000)), options)
  }

  private static func thread(
    _ index: Int, faultIn vm: Int? = nil, since: UInt64 = 0, place: UInt32 = 0
  ) -> LockObserver.Thread {
    LockObserver.Thread(
      index: ThreadIndex(index), tid: ThreadID(100 + Int32(index)),
      place: ThreadPlace(windows: place, notifiers: 0),
      fault: vm.map {
        LockObserver.Fault(vm: VMIndex($0), vmSince: Nanoseconds(since), ipa: IPA(0x4000_0000))
      })
  }

  private static func record(
    _ kind: EventKind, at time: UInt64, by thread: LockObserver.Thread
  ) -> TraceRecord {
    TraceRecord(kind, at: Nanoseconds(time), cpu: CPUIndex(1), tid: thread.tid)
  }

  @discardableResult
  private static func call(
    _ kind: EventKind, _ table: Int = 0, at time: UInt64, by thread: LockObserver.Thread,
    _ observer: inout LockObserver
  ) -> VMIndex? {
    var record = record(kind, at: time, by: thread)
    record[RecordLayout.Stage2Call.pageTable] = tables[table]
    return observer.operation(record, by: thread)
  }

  private static func contend(
    _ kind: EventKind, _ lock: UInt64, of vm: Int?, at time: UInt64, by thread: LockObserver.Thread,
    _ observer: inout LockObserver
  ) {
    var record = record(kind, at: time, by: thread)
    record[RecordLayout.ContentionBegin.lock] = lock
    if kind == .contentionBegin { record[RecordLayout.ContentionBegin.flags] = 5 }
    observer.contention(record, by: thread, lockOf: vm.map { VMIndex($0) })
  }

  @Test("Whose a page table is comes out in a fault, and then what was held before counts, too")
  func pageTables() {
    var observer = Self.observer()
    let host = Self.thread(3)
    #expect(Self.call(.probeUnmap, at: 10, by: host, &observer) == nil)
    Self.call(.probeUnmapReturn, at: 20, by: host, &observer)
    let vcpu = Self.thread(0, faultIn: 0)
    #expect(Self.call(.probeMap, at: 30, by: vcpu, &observer) == VMIndex(0))
    Self.call(.probeMapReturn, at: 35, by: vcpu, &observer)
    #expect(Self.call(.probeMap, at: 40, by: vcpu, &observer) == nil)
    Self.call(.probeMapReturn, at: 45, by: vcpu, &observer)
    Self.call(.probeUnmap, at: 50, by: host, &observer)
    Self.call(.probeUnmapReturn, at: 57, by: host, &observer)
    observer.finish()
    let lock = observer.result(of: VMIndex(0))
    #expect(
      lock?.byOperation[.map]?.hold.total == Nanoseconds(10) && lock?.byOperation[.map]?.hold.count == 2)
    #expect(lock?.byOperation[.unmap]?.hold.total == Nanoseconds(17))
    #expect(lock?.longestHolds.first?.time == Nanoseconds(10) && lock?.writeHold?.count == 4)
    #expect(observer.result(of: VMIndex(1)) == nil && observer.unattributed.count == 0)
  }

  @Test(
    "What was held under a table before its VM was there, or after another one was gone, is none of its own")
  func reusedTables() {
    var observer = Self.observer(sections: true)
    let host = Self.thread(3)
    func unmap(at time: UInt64) {
      Self.call(.probeUnmap, at: time, by: host, &observer)
      Self.call(.probeUnmapReturn, at: time + 1, by: host, &observer)
    }
    func fault(_ thread: LockObserver.Thread, at time: UInt64) {
      Self.call(.probeMap, at: time, by: thread, &observer)
      Self.call(.probeMapReturn, at: time + 1, by: thread, &observer)
    }
    unmap(at: 10)
    unmap(at: 20)
    fault(Self.thread(0, faultIn: 0, since: 15), at: 30)
    #expect(observer.owner(of: KernelAddress(Self.tables[0])) == VMIndex(0))
    // Nothing tells when this returns, nor does its thread call anything again.
    Self.call(.probeMkyoung, at: 40, by: Self.thread(0, faultIn: 0, since: 15), &observer)
    // VM 0 is gone.
    observer.disown(KernelAddress(Self.tables[0]))
    unmap(at: 50)
    fault(Self.thread(2, faultIn: 1, since: 45), at: 60)
    unmap(at: 70)
    // A table that no VM turns out to have.
    Self.call(.probeUnmap, 1, at: 80, by: host, &observer)
    Self.call(.probeUnmapReturn, 1, at: 87, by: host, &observer)
    observer.finish()
    #expect(observer.result(of: VMIndex(0))?.byOperation[.unmap]?.hold.count == 1)
    #expect(observer.result(of: VMIndex(0))?.untimed[.mkyoung] != nil)
    #expect(observer.result(of: VMIndex(1))?.untimed[.mkyoung] == nil)
    #expect(observer.result(of: VMIndex(1))?.byOperation[.unmap]?.hold.count == 2)
    #expect(observer.unattributed.count == 2 && observer.unattributed.total == Nanoseconds(8))
    #expect(observer.sections(of: VMIndex(1))[host.tid]?.map(\.start.rawValue) == [50, 70])
  }

  @Test("Holds that wait for their VM are bounded: the oldest are given up, and counted")
  func bound() {
    var holds = UnownedHolds(most: 4)
    for time in 0..<UInt64(9) {
      holds.add(
        UnownedHolds.Hold(
          pageTable: KernelAddress(Self.tables[0]), request: Nanoseconds(time),
          hold: RecordedHold(
            time: Nanoseconds(time), duration: Nanoseconds(10), cpu: CPUIndex(0), tid: ThreadID(1),
            mode: .write, operation: LockedOperation(kind: .unmap, address: IPA(0), size: 0))))
    }
    #expect(holds.unattributed.count == 9)
    let taken = holds.take(of: KernelAddress(Self.tables[0]), since: Nanoseconds(0))
    #expect(taken.map(\.hold.time.rawValue) == [6, 7, 8])
    #expect(holds.unattributed.count == 6 && holds.unattributed.total == Nanoseconds(60))
  }

  @Test("Of a function whose return no probe tells, how long the lock was held is not known")
  func untimed() throws {
    var observer = Self.observer()
    let vcpu = Self.thread(0, faultIn: 0)
    Self.call(.probeMkyoung, at: 10, by: vcpu, &observer)
    Self.call(.probeMkyoung, at: 20, by: vcpu, &observer)
    Self.call(.probeMap, at: 30, by: vcpu, &observer)
    Self.call(.probeMapReturn, at: 35, by: vcpu, &observer)
    observer.finish()
    let lock = try #require(observer.result(of: VMIndex(0), performed: [.map, .wrprotect]))
    #expect(lock.untimed[.mkyoung] == UntimedCalls(mode: .read, modeBasis: .derived, count: 2))
    #expect(lock.untimed[.wrprotect]?.mode == .write && lock.untimed[.wrprotect]?.count == nil)
    #expect(lock.untimed.count == 2 && lock.byOperation[.mkyoung] == nil)
    #expect(!lock.tellsHolds(.read) && lock.tellsHolds(.write))
    // Without any of them, nothing was held to read.
    var other = Self.observer()
    Self.call(.probeMap, at: 30, by: vcpu, &other)
    Self.call(.probeMapReturn, at: 35, by: vcpu, &other)
    other.finish()
    #expect(other.result(of: VMIndex(0))?.tellsHolds(.read) == true)
  }

  @Test("VMs are kept apart, and all of them are their sum")
  func severalVMs() {
    var observer = Self.observer(sections: true)
    let threads = [Self.thread(0, faultIn: 0), Self.thread(2, faultIn: 1)]
    for (vm, thread) in threads.enumerated() {
      Self.call(.probeMap, vm, at: 10, by: thread, &observer)
    }
    for (vm, thread) in threads.enumerated() {
      Self.call(.probeMapReturn, vm, at: 20 + UInt64(vm), by: thread, &observer)
    }
    #expect(observer.result(of: VMIndex(0))?.writeHold?.total == Nanoseconds(10))
    #expect(observer.result(of: VMIndex(1))?.writeHold?.total == Nanoseconds(11))
    #expect(observer.resultOfAll?.writeHold?.total == Nanoseconds(21))
    let section = RecordedSection(
      kind: .map, request: Nanoseconds(10), start: Nanoseconds(10), end: Nanoseconds(21))
    #expect(observer.sections(of: VMIndex(1)) == [threads[1].tid: [section]])
  }

  @Test("A wait names who had the lock at its beginning, else who had it first, and what it was for")
  func holders() throws {
    var observer = Self.observer(sections: true)
    let (first, second) = (Self.thread(0, faultIn: 0), Self.thread(1, faultIn: 0))
    Self.call(.probeMap, at: 10, by: first, &observer)
    Self.contend(.contentionBegin, Self.locks[0], of: 0, at: 12, by: second, &observer)
    Self.call(.probeMapReturn, at: 20, by: first, &observer)
    Self.contend(.contentionEnd, Self.locks[0], of: 0, at: 21, by: second, &observer)
    Self.call(.probeRelaxPerms, at: 22, by: second, &observer)
    Self.contend(.contentionBegin, Self.locks[0], of: 0, at: 23, by: first, &observer)
    Self.call(.probeRelaxPermsReturn, at: 30, by: second, &observer)
    // Nobody was seen to have the lock when this wait begins.
    let host = Self.thread(3)
    Self.contend(.contentionBegin, Self.locks[0], of: 0, at: 31, by: host, &observer)
    Self.contend(.contentionEnd, Self.locks[0], of: 0, at: 32, by: first, &observer)
    Self.call(.probeMap, at: 33, by: first, &observer)
    Self.call(.probeMapReturn, at: 40, by: first, &observer)
    Self.contend(.contentionEnd, Self.locks[0], of: 0, at: 60, by: host, &observer)
    // In another notifier it calls something else.
    Self.call(.probeUnmap, at: 61, by: Self.thread(3, place: 1), &observer)
    observer.finish()
    let waits = try #require(observer.result(of: VMIndex(0))?.longestWaits)
    #expect(waits.map(\.duration.rawValue) == [29, 9, 9])
    #expect(waits.map(\.holder?.tid) == [first.tid, first.tid, second.tid])
    #expect(waits.map(\.operation?.kind) == [nil, .relaxPerms, .map])
    #expect(waits.map(\.faultAddress) == [nil, IPA(0x4000_0000), IPA(0x4000_0000)])
    let requests = observer.sections(of: VMIndex(0))[second.tid]?.map(\.request.rawValue)
    #expect(requests == [12], "a section is asked for when the wait for it begins")
  }

  @Test("What began before a loss on its CPU does not end behind it")
  func losses() throws {
    for lossy in [CPUIndex(0), CPUIndex(1)] {
      var observer = Self.observer(sections: true)
      let (first, second) = (Self.thread(0, faultIn: 0), Self.thread(1, faultIn: 0))
      Self.call(.probeMap, at: 10, by: first, &observer)
      Self.contend(.contentionBegin, Self.locks[0], of: 0, at: 12, by: second, &observer)
      observer.lose(lossy, until: Nanoseconds(15))
      Self.contend(.contentionEnd, Self.locks[0], of: 0, at: 20, by: second, &observer)
      Self.call(.probeMapReturn, at: 30, by: first, &observer)
      // All of this came behind it, but for what the thread had waited for.
      Self.call(.probeRelaxPerms, at: 40, by: second, &observer)
      Self.call(.probeRelaxPermsReturn, at: 41, by: second, &observer)
      observer.finish()
      let isLost = lossy == CPUIndex(1)
      let lock = try #require(observer.result(of: VMIndex(0)))
      #expect(lock.byOperation[.map]?.hold.count == (isLost ? nil : 1))
      #expect(lock.untimed[.map]?.count == (isLost ? 1 : nil))
      #expect(lock.writeWait?.count == (isLost ? nil : 1))
      #expect(observer.sections(of: VMIndex(0))[second.tid]?.map(\.request.rawValue) == [isLost ? 40 : 12])
    }
  }

  @Test("A loss parts a wait from what comes behind it, and who may have left the lock is not its holder")
  func lossesBetween() throws {
    for lossy in [CPUIndex(0), CPUIndex(1)] {
      var observer = Self.observer(sections: true)
      let (first, second) = (Self.thread(0, faultIn: 0), Self.thread(1, faultIn: 0))
      Self.call(.probeMap, at: 10, by: first, &observer)
      Self.call(.probeMapReturn, at: 11, by: first, &observer)
      Self.contend(.contentionBegin, Self.locks[0], of: 0, at: 12, by: second, &observer)
      Self.contend(.contentionEnd, Self.locks[0], of: 0, at: 20, by: second, &observer)
      Self.call(.probeMap, at: 21, by: first, &observer)
      observer.lose(lossy, until: Nanoseconds(25))
      Self.call(.probeRelaxPerms, at: 30, by: second, &observer)
      Self.call(.probeRelaxPermsReturn, at: 31, by: second, &observer)
      let third = Self.thread(2)
      Self.contend(.contentionBegin, Self.locks[0], of: 0, at: 32, by: third, &observer)
      Self.contend(.contentionEnd, Self.locks[0], of: 0, at: 33, by: third, &observer)
      observer.finish()
      let isLost = lossy == CPUIndex(1)
      let waits = try #require(observer.result(of: VMIndex(0))?.longestWaits)
      #expect(waits.map(\.operation?.kind) == [isLost ? nil : .relaxPerms, nil])
      #expect(waits.map(\.holder?.tid) == [nil, isLost ? nil : first.tid])
      #expect(observer.sections(of: VMIndex(0))[second.tid]?.map(\.request.rawValue) == [isLost ? 30 : 12])
    }
  }

  @Test("Holds and waits that are together longer than time is are as long as that")
  func endOfTime() {
    var observer = Self.observer()
    let thread = Self.thread(0, faultIn: 0)
    for _ in 0..<2 {
      Self.call(.probeMap, at: 0, by: thread, &observer)
      Self.call(.probeMapReturn, at: 3 << 62, by: thread, &observer)
      Self.contend(.contentionBegin, Self.locks[0], of: 0, at: 0, by: thread, &observer)
      Self.contend(.contentionEnd, Self.locks[0], of: 0, at: 3 << 62, by: thread, &observer)
    }
    observer.finish()
    let lock = observer.result(of: VMIndex(0))
    #expect(lock?.writeHold?.total == Nanoseconds(.max) && lock?.writeWait?.total == Nanoseconds(.max))
    // What lies behind the grid counts with its last interval.
    #expect(lock?.series.values.contains { $0.writeHeld == .max && $0.writeWaited == .max } == true)
    #expect(observer.resultOfAll?.writeHold?.total == Nanoseconds(.max))
  }

  @Test("Waits for other locks count for nobody, nor does what ends before it begins")
  func others() {
    var observer = Self.observer()
    let thread = Self.thread(0, faultIn: 0)
    Self.contend(.contentionBegin, 0xdead, of: nil, at: 10, by: thread, &observer)
    Self.contend(.contentionEnd, 0xdead, of: nil, at: 20, by: thread, &observer)
    Self.contend(.contentionBegin, Self.locks[0], of: 0, at: 30, by: thread, &observer)
    Self.contend(.contentionEnd, Self.locks[1], of: 1, at: 35, by: thread, &observer)
    Self.contend(.contentionEnd, Self.locks[0], of: 0, at: 29, by: thread, &observer)
    Self.call(.probeMap, at: 40, by: thread, &observer)
    Self.call(.probeMapReturn, at: 39, by: thread, &observer)
    observer.finish()
    #expect(observer.result(of: VMIndex(0)) == nil && observer.resultOfAll == nil)
  }
}
