import KVMTrace
import KVMTypes
import Stage2Replay
import Testing

// [page]
/// A guest of one vCPU that writes to so many new pages, one after the other.
struct NewPages: EventSource {
  let count: UInt64

  var path: String { "new pages" }
  var format: String { "made up" }
  var uname: String { "Linux host 7.3.4 aarch64" }
  var cpuCount: Int { 1 }
  var pageSize: PageSize? { .size4K }
  var hasOperationProbes: Bool { false }
  var canBeReadTwice: Bool { true }
  func command(of tid: ThreadID) -> String? { tid == ThreadID(101) ? "vcpu0" : nil }

  func forEachRun(
    _ selection: EventSelection, _ body: (EventRun) throws -> Void
  ) rethrows -> EventStatistics {
    let records = records.filter { selection.includes($0.kind) }
    try records.withUnsafeBufferPointer { try EventRun.with($0, body) }
    var statistics = EventStatistics()
    (statistics.first, statistics.last) = (records.first?.time, records.last?.time)
    return statistics
  }

  private var records: [TraceRecord] {
    var records: [TraceRecord] = []
    func add(_ kind: EventKind, tid: Int32, _ fields: [(RecordField, UInt64)] = []) {
      let time = Nanoseconds(UInt64(records.count + 1) * 1000)
      var record = TraceRecord(kind, at: time, cpu: CPUIndex(0), tid: ThreadID(tid))
      for (field, value) in fields { record[field] = value }
      records.append(record)
    }
    typealias Slot = RecordLayout.CommitMemoryRegion
    typealias Fault = RecordLayout.GuestFault
    // The VMM makes a slot of 2 MiB, whose host address is not congruent with 0x8000_0000: blocks do not fit.
    add(
      .commitMemoryRegion, tid: 100,
      [(Slot.kvm, 0xffff_0000_1000), (Slot.gfn, 0x80000), (Slot.pages, 512), (Slot.hva, 0x7f00_0000_1000)])
    add(.entry, tid: 101)
    for page in 0..<count {
      add(.exit, tid: 101, [(RecordLayout.Exit.reason, 2), (RecordLayout.Exit.exceptionClass, 0x24)])
      // A write that is no translation fault of the last level before there is a table of that level.
      let esr: UInt64 = page == 0 ? 0x9200_0045 : 0x9200_0047
      add(.guestFault, tid: 101, [(Fault.ipa, 0x8000_0000 + page << 12), (Fault.esr, esr)])
      add(.entry, tid: 101)
    }
    return records
  }
}
// [end of page]

@Suite("A source of events of somebody else's")
struct EventSourceTests {
  @Test("It is replayed like a file")
  func replay() throws {
    var operations: [Stage2Operation] = []
    let (result, statistics) = try Replay.run(
      NewPages(count: 3), profile: ProfileRequest(), options: ReplayOptions()
    ) { operations.append($0) }
    #expect(operations.map(\.kind) == [.map, .map, .map])
    #expect(operations.map(\.address) == [IPA(0x8000_0000), IPA(0x8000_1000), IPA(0x8000_2000)])
    #expect(operations.allSatisfy { $0.result == 0 && $0.size == 4096 })
    #expect(result.vms.count == 1 && result.divergences.unexplained == 0)
    #expect(statistics.last == Nanoseconds(11_000))
  }

  @Test("What a pass counts can be said")
  func statistics() {
    var statistics = EventStatistics()
    statistics.counts = [EventStatistics.Count(system: "kvm", name: "kvm_entry", count: 4)]
    statistics.losses = [Loss(cpu: 1, before: Nanoseconds(7), count: nil)]
    statistics.damage = [Damage(offset: 0, what: "cut")]
    #expect(statistics.total == 4 && statistics.losses[0].isKernels && statistics.damage[0].cpu == nil)
    let selection = EventSelection.replay(probes: false)
    #expect(selection.includes(.guestFault) && !selection.includes(.probeMap) && !selection.includes(.other))
  }
}
