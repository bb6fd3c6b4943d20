import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Where a vCPU with guests of its own is")
struct NestingContextTests {
  private static let epoch = Epoch(2)

  private func event(_ kind: EventKind, mode: UInt64) -> TraceRecord {
    var record = TraceRecord(kind, at: Nanoseconds(7), cpu: CPUIndex(0), tid: ThreadID(1))
    if kind == .nestedERET {
      record[RecordLayout.NestedERET.mode] = mode
    } else {
      record[RecordLayout.NestedException.mode] = mode
    }
    return record
  }

  /// One whose nested guest, in EL1h, is entered next.
  private func entering() -> NestingContext {
    var context = NestingContext()
    context.take(event(.nestedERET, mode: 5), in: Self.epoch)
    return context
  }

  @Test("An ERET into EL1 leads into a nested guest, an exception out of it")
  func told() {
    var context = entering()
    #expect(context.isNested && context.epoch == Self.epoch)
    context.enter(at: GuestVA(0x8000), tellsExceptions: true)
    context.enter(at: GuestVA(0x9000), tellsExceptions: true)
    #expect(context.isNested)
    context.take(event(.nestedException, mode: 5), in: Self.epoch)
    #expect(!context.isNested)
    // EL2h: the guest hypervisor returns to itself.
    context.take(event(.nestedERET, mode: 9), in: Self.epoch)
    #expect(!context.isNested)
  }

  @Test("Where exceptions are not recorded, an entry elsewhere than behind the last exit is the hypervisor's")
  func untold() {
    for (pc, isNested) in [(UInt64(0x8000), true), (0x8004, true), (0x8008, false)] {
      var context = entering()
      context.enter(at: GuestVA(0x8000), tellsExceptions: false)
      var exit = TraceRecord(.exit, at: Nanoseconds(8), cpu: CPUIndex(0), tid: ThreadID(1))
      exit[RecordLayout.Exit.pc] = 0x8000
      context.exit(exit.vcpuExit, in: Self.epoch, tellsExceptions: false)
      context.enter(at: GuestVA(pc), tellsExceptions: false)
      #expect(context.isNested == isNested)
    }
  }

  @Test("A vCPU that is reset runs its hypervisor, once it is out of KVM_RUN")
  func reset() {
    var context = entering()
    context.leaveRun()
    #expect(context.isNested)
    context.reset(isOut: false)
    #expect(context.isNested)
    context.leaveRun()
    #expect(context == NestingContext())
    context = entering()
    context.reset(isOut: true)
    #expect(context == NestingContext())
  }

  @Test("What a nested guest's fault changes is a shadow table, whoever changes it later")
  func shadowTables() {
    var tables = ShadowTables()
    let (own, shadow) = (KernelAddress(0xa000), KernelAddress(0xb000))
    let answers = [(shadow, false), (shadow, true), (shadow, false), (own, false)].map {
      tables.take($0.0, isOfNestedFault: $0.1)
    }
    #expect(answers == [false, true, true, false])
  }
}
