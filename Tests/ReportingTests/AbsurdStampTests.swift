import CostFit
import Foundation
import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay
import Testing
import TraceSynth
import UnnamedFiles

@testable import Reporting

/// Time stamps that damage made: sections under the lock that last as long as all of time together. Whatever is computed
/// from them ends there, and there is a report.
@Suite("Absurd time stamps")
struct AbsurdStampTests {
  private static let end: UInt64 = 3 << 62
  private static let kvm: UInt64 = 0xffff_0000

  /// One processor, whose events lie at the beginning and at the end of time.
  private struct Processor {
    private let flavour = TraceFlavour()
    private let pid: Int32
    private(set) var pages: [[UInt8]] = []
    private var page: SubBufferPageBuilder
    private var now: UInt64

    init(_ number: Int) {
      pid = Int32(9 + number)
      now = 1000 * UInt64(number + 1)
      page = SubBufferPageBuilder(flavour, timestamp: now)
    }

    mutating func add(_ format: TraceSynth.EventFormat, _ values: [UInt64]) {
      now += 10
      precondition(page.append(format.payload(values, pid: pid, flavour: flavour), at: now))
    }

    mutating func turnPage(at time: UInt64) {
      pages.append(page.finish())
      now = time
      page = SubBufferPageBuilder(flavour, timestamp: now)
    }

    mutating func fault(_ ipa: UInt64) {
      add(KVMEventFormats.entry, [0x1000])
      add(KVMEventFormats.exit, [2, 0x24, 0x1000])
      add(KVMEventFormats.guestFault, [0x1000, 0x9200_0045, 0x4000_0000, ipa])
    }

    mutating func map(_ ipa: UInt64) {
      add(StageTwoProbeFormats.map, [0, 0xe000, ipa, 4096, 0x8000_0000 + ipa, 0xf, 0, 0])
    }

    mutating func endMap() {
      add(StageTwoProbeFormats.mapReturn, [0, 0, 0])
      add(KVMEventFormats.entry, [0x1000])
    }
  }

  /// Four vCPUs: two map a page all the time, one waits to read all the time, one to write.
  private static func trace() throws -> TraceFile {
    let writer = TraceDatWriter(TraceDescription(TraceFlavour(), cpus: 4))
    for number in 0..<4 {
      var processor = Processor(number)
      let ipa = 0x4000_0000 + UInt64(number) << 12
      if number == 0 {
        processor.add(KVMEventFormats.slotCommit, [0, kvm, 0, 0x40000, 1024, 0xff00_0000_1000, 0, 0, 0, 0])
      }
      processor.fault(ipa)
      if number < 2 {
        processor.map(ipa)
        processor.turnPage(at: end)
      } else {
        processor.add(KVMEventFormats.contentionBegin, [kvm, number == 2 ? 3 : 5])
        processor.turnPage(at: end)
        processor.add(KVMEventFormats.contentionEnd, [kvm, 0])
        processor.map(ipa)
      }
      processor.endMap()
      processor.turnPage(at: 0)
      for page in processor.pages { try writer.append(page, cpu: UInt32(number)) }
    }
    // The file stays open when its name is gone.
    let file = try UnnamedFile(writer.bytes())
    return try withExtendedLifetime(file) { try TraceFile(path: file.path) }
  }

  private static func replay(_ trace: TraceFile) throws -> (ReplayResult, EventStatistics) {
    var request = ProfileRequest()
    request.path = .pkvm
    var options = ReplayOptions()
    options.keepsSections = true
    options.measuresWork = true
    return try Replay.run(trace, profile: request, options: options)
  }

  @Test("The series reach to the end of time")
  func series() throws {
    let (result, _) = try Self.replay(Self.trace())
    let tables = SeriesTable.tables(result)
    let stamps = tables.filter { $0.name != "idle.csv" }.map {
      $0.rows.compactMap { UInt64($0[1]) }.max() ?? 0
    }
    #expect(stamps.allSatisfy { $0 >= 1 << 63 } && stamps.count == 4, "\(stamps)")
    #expect(stamps[0] > Self.end)
  }

  @Test("The report says what was recorded, as far as a number can tell")
  func report() throws {
    let trace = try Self.trace()
    let (result, statistics) = try Self.replay(trace)
    var report = ReplayReport(trace, statistics, result)
    report.price(result, .assumed)
    report.simulate(result, scales: [1, 4], seed: 1)
    #expect(report.hasContention && report.text.contains("mmu_lock"))
    let object = try JSONSerialization.jsonObject(with: Data(JSON.text(report).utf8)) as? [String: Any]
    let vms = try #require(object?["vms"] as? [[String: Any]])
    #expect(vms.count == 1)
    #expect(result.vms[0].lock?.byOperation[.map]?.hold.total == Nanoseconds(.max))
    let study = try #require(ContentionStudy(result.vms[0], faultLock: .read, scales: [4], seed: 1))
    #expect(study.recordedVCPUs == 4 && study.recordedWaitNs == .max)
    #expect(study.text.contains("4 recorded vCPUs"))
  }

  @Test("A calibration and a comparison say what it comes to")
  func others() throws {
    let (result, statistics) = try Self.replay(Self.trace())
    #expect(!Calibration(name: "absurd", source: "a test", [result, result]).text.isEmpty)
    let metrics = Metric.metrics([result], statistics)
    let sides = ["a", "b"].map { Comparison.Side($0, [metrics]) }
    #expect(!Comparison(.recordings, sides[0], sides[1]).text(all: true).isEmpty)
  }
}
