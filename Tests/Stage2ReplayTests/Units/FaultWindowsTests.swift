import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Windows of faults")
struct FaultWindowsTests {
  private static let page = GuestFault(ipa: IPA(0x8000_0000), esr: ESR(0), far: GuestVA(0), pc: GuestVA(0))

  private func record(_ kind: EventKind, _ tid: Int32) -> TraceRecord {
    TraceRecord(kind, at: Nanoseconds(7), cpu: CPUIndex(0), tid: ThreadID(tid))
  }

  private func userspaceExit(_ tid: Int32, errno: Int64) -> TraceRecord {
    var event = record(.userspaceExit, tid)
    event[RecordLayout.UserspaceExit.errno] = UInt64(bitPattern: errno)
    return event
  }

  private func fault(_ tid: Int32) -> TraceRecord {
    TraceRecord(fault: Self.page, at: Nanoseconds(7), cpu: CPUIndex(0), tid: ThreadID(tid))
  }

  /// Takes in events, and says what the last one ended.
  private func end(_ records: TraceRecord..., in windows: inout FaultWindows) -> FaultWindows.End? {
    var last: FaultWindows.End?
    for record in records {
      last = windows.end(by: record)
      windows.take(record)
    }
    return last
  }

  @Test("A window ends with kvm_entry or kvm_userspace_exit, and unseen with what comes before neither")
  func ends() throws {
    var windows = FaultWindows()
    #expect(end(fault(1), record(.entry, 1), in: &windows) == .entry)
    #expect(end(record(.entry, 1), in: &windows) == nil)
    #expect(end(fault(1), record(.exit, 1), in: &windows) == .unseen)
    #expect(end(fault(1), fault(1), in: &windows) == .unseen)
    let failure = try #require(end(userspaceExit(1, errno: -14), in: &windows))
    #expect(failure == .userspaceExit(errno: -14) && failure.isFailure)
    let interrupted = try #require(end(fault(1), userspaceExit(1, errno: -4), in: &windows))
    #expect(!interrupted.isFailure)
  }

  @Test("Nothing of another thread ends a window, nor what happens inside it")
  func goesOn() throws {
    var windows = FaultWindows()
    #expect(end(fault(1), record(.entry, 2), record(.mmio, 1), in: &windows) == nil)
    let thread = try #require(windows.thread)
    #expect(windows[thread].isOpen && windows[thread].sawMMIO)
    #expect(windows[thread].fault == Self.page && windows[thread].begin.sequence == Sequence(1))
    #expect(end(record(.unmapHVARange, 1), in: &windows) == nil)
    #expect(end(record(.entry, 1), in: &windows) == .entry)
    // What ended stays to be looked at, until the thread faults again.
    #expect(windows[thread].sawMMIO && !windows[thread].isOpen)
    #expect(end(fault(1), in: &windows) == nil)
    #expect(!windows[thread].sawMMIO)
  }

  @Test("A number that no thread can have opens no window")
  func impossible() {
    var windows = FaultWindows()
    #expect(end(fault(-1), record(.entry, -1), in: &windows) == nil)
    #expect(windows.thread == nil && windows.count == 0)
  }
}
