import KVMTrace
import KVMTypes
import Pictures
import Reporting
import Stage2Replay
import Testing

@testable import HTMLReport

/// A guest that faults on new pages until the end of time, as a damaged stamp may have it.
private struct LateGuest: EventSource {
  /// The times of its faults.
  let times: [UInt64]

  var path: String { "late stamps" }
  var format: String { "made up" }
  var uname: String { "Linux host 7.3.4 aarch64" }
  var cpuCount: Int { 1 }
  var pageSize: PageSize? { .size4K }
  var hasOperationProbes: Bool { false }
  var canBeReadTwice: Bool { true }
  func command(of tid: ThreadID) -> String? { nil }

  func forEachRun(
    _ selection: EventSelection, _ body: (EventRun) throws -> Void
  ) rethrows -> EventStatistics {
    typealias Slot = RecordLayout.CommitMemoryRegion
    typealias Fault = RecordLayout.GuestFault
    var records: [TraceRecord] = []
    func add(_ kind: EventKind, at time: UInt64, _ fields: [(RecordField, UInt64)] = []) {
      var record = TraceRecord(kind, at: Nanoseconds(time), cpu: CPUIndex(0), tid: ThreadID(101))
      for (field, value) in fields { record[field] = value }
      records.append(record)
    }
    add(
      .commitMemoryRegion, at: times[0],
      [(Slot.kvm, 0xffff_0000_1000), (Slot.gfn, 0x80000), (Slot.pages, 512), (Slot.hva, 0x7f00_0000_1000)])
    for (page, time) in times.enumerated() {
      add(
        .guestFault, at: time, [(Fault.ipa, 0x8000_0000 + UInt64(page) << 12), (Fault.esr, 0x9200_0047)])
      add(.entry, at: time)
    }
    try records.filter { selection.includes($0.kind) }
      .withUnsafeBufferPointer { try EventRun.with($0, body) }
    var statistics = EventStatistics()
    (statistics.first, statistics.last) = (records.first?.time, records.last?.time)
    return statistics
  }
}

@Suite("Stamps at the end of time")
struct LateStampTests {
  private static let end = UInt64.max
  private static let stamps: [[UInt64]] = [
    [end], [end - 1, end], [1000, end], [0, 1 << 63, end - 5], [end - 1000, end - 400, end],
  ]

  @Test("A page is made of whatever stamps there are", arguments: stamps)
  func page(times: [UInt64]) throws {
    let source = LateGuest(times: times)
    let pictures = ReplayPictures()
    let (result, statistics) = try Replay.run(
      source, profile: ProfileRequest(), options: ReplayOptions(), observer: pictures.observer,
      onOperation: { pictures.add($0) })
    let report = ReplayReport(source, statistics, result)
    #expect(report.vms.first?.workingSet?.pages == times.count)
    let last = Nanoseconds(report.inputs[0].replayed.upperBound)
    let recording = HTMLReport.Recording(
      report, pictures: pictures.finish(result, last: last), gaps: result.gaps)
    let page = HTMLReport.page([recording], maker: "a program").source
    #expect(page.contains("Working-set curve"))
  }
}
