import Foundation
import KVMTrace
import Stage2Replay
import Testing

@testable import Reporting

/// What the text of a report says of counts.
@Suite("Counts in words")
struct ReportWordsTests {
  @Test("One of a thing has no plural")
  func plurals() {
    #expect(Quantity.count(1, "page") == "1 page" && Quantity.count(0, "page") == "0 pages")
    #expect(Quantity.count(UInt64(1234), "page") == "1,234 pages")
  }

  @Test("Faults that led to nothing are told by their reasons, the most frequent first")
  func faultsWithoutOperation() {
    #expect(
      ReplayReport.words([.noSlot: 8, .faultedAgain: 1_200, .unknownSlots: 3])
        == "1,208 led to no operation: 1,200 that came again, 8 in no slot")
    #expect(ReplayReport.words([.unknownSlots: 3, .cutOff: 1]) == nil && ReplayReport.words([:]) == nil)
    #expect(
      ReplayReport.unknownWords([.noSlot: 8, .unknownSlots: 3, .cutOff: 1]) == [
        "3 of them in no slot that the trace tells: what became of them is unknown",
        "1 of them under way at the end: what became of it is unknown",
      ])
  }

  /// A recording in which flags change, slots move, and some VMs were there before.
  private static func report(_ name: String) throws -> ReplayReport {
    let trace = try TraceFile(path: Recordings.path(name))
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: ReplayOptions())
    return ReplayReport(trace, statistics, result)
  }

  @Test("A slot with several sets of flags is one slot")
  func slots() throws {
    let report = try Self.report("kvm-nvhe-7.3.4-joined-guest")
    #expect(report.vms[0].slots.count == 12)
    #expect(report.text.contains("2 vCPUs, 6 slots (1 of them assumed)\n"))
    #expect(report.text.contains(" led to no operation: "))
  }

  @Test("An order that one of several recordings leaves open is that of one of them")
  func unordered() throws {
    let coarse = try Self.report("pkvm-nvhe-7.3.4-coarse-clock")
    let other = try Self.report("kvm-nvhe-7.3.4-joined-guest")
    let sum = ReplayReport([coarse, other])
    let words = try #require(sum.notKnown?.first { $0.what == .unorderedClock }?.words)
    #expect(words.hasSuffix("so that all is assumed in 1 of the 2 recordings"))
    let both = ReplayReport([coarse, coarse]).notKnown?.first { $0.what == .unorderedClock }
    #expect(both?.words.hasSuffix("in all recordings") == true)
    #expect(sum.seriesIntervalNs == nil && sum.seriesUnit == nil)
    #expect(sum.replays?.map(\.seriesUnit) == ["ticks", nil])
  }
}
