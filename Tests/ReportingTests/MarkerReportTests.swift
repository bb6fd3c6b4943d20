import Foundation
import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay
import Testing
import TraceSynth
import UnnamedFiles

@testable import Reporting

/// What reports say of markers: a host that has one VM of 40-bit addresses on the traditional path, with one page mapped.
@Suite("Markers in reports")
struct MarkerReportTests {
  private static let formats =
    KVMEventFormats.all + [KVMEventFormats.vmInit, KVMEventFormats.vmDestroy, MarkerFormat.print]

  private static let hugePages = "anon_huge_kb=9:0 other_huge_kb=9:2048"

  /// - Parameter kilobytes: what SecPageTables says after the page was mapped.
  private func trace(kilobytes: Int) throws -> TraceFile {
    let flavour = TraceFlavour()
    var page = SubBufferPageBuilder(flavour, timestamp: 0)
    var now: UInt64 = 1000
    func append(_ payload: [UInt8]) {
      now += 1000
      precondition(page.append(payload, at: now))
    }
    func event(_ format: TraceSynth.EventFormat, _ values: [UInt64], pid: Int32 = 9) {
      append(format.payload(values, pid: pid, flavour: flavour))
    }
    func marker(_ text: String) { append(MarkerFormat.payload(text, pid: 8, flavour: flavour)) }
    marker("pkvm-replay:lab workload=boot seed=7")
    marker("pkvm-replay:memory point=begin sec_page_tables_kb=100")
    event(KVMEventFormats.vmInit, [0, 0xffff_0000, 40])
    event(KVMEventFormats.slotCommit, [0, 0xffff_0000, 0, 0x40000, 1024, 0xff00_0000_1000, 0, 0, 0, 0])
    event(KVMEventFormats.entry, [0x1000])
    event(KVMEventFormats.exit, [2, 0x24, 0x1000])
    event(KVMEventFormats.guestFault, [0x1000, 0x9200_0045, 0x4000_0000, 0x4000_0000])
    event(KVMEventFormats.userspaceExit, [10, UInt64(bitPattern: -4)])
    marker("pkvm-replay:memory point=mapped sec_page_tables_kb=\(100 + kilobytes) \(Self.hugePages) exits=1")
    let description = TraceDescription(flavour, formats: Self.formats, cpus: 1)
    let writer = TraceDatWriter(description)
    try writer.append(page.finish(), cpu: 0)
    // The file stays mapped when it is closed.
    let file = try UnnamedFile(writer.bytes())
    return try withExtendedLifetime(file) { try TraceFile(path: file.path) }
  }

  private func report(kilobytes: Int) throws -> ReplayReport {
    let trace = try trace(kilobytes: kilobytes)
    var request = ProfileRequest()
    request.path = .traditional
    let (result, statistics) = try Replay.run(trace, profile: request, options: ReplayOptions())
    return ReplayReport(trace, statistics, result)
  }

  @Test("A range is explained where a row has one, not where a row says why nothing is known")
  func ranges() throws {
    let figure = MarkerFigure.Kind.secPageTables
    for (reason, isRange) in [(MarkerDoubt.assumedMemslots, false), (nil, true)] as [(MarkerDoubt?, Bool)] {
      var report = try report(kilobytes: 20)
      var marker = try #require(report.memoryMarkers?.first)
      marker.figures = [
        MarkerEntry.Figure(
          figure: figure, pid: nil, sinceFirst: true, recorded: 5, modelled: 5, difference: 0, least: 4,
          most: 6, verdict: reason == nil ? .agrees : .unknown, reason: reason, basis: .assumed)
      ]
      report.memoryMarkers = [marker]
      #expect(report.text.contains("4 to 6") == isRange)
      #expect(report.text.contains("A range is what") == isRange, "\(report.text)")
    }
  }

  @Test("The JSON report has every figure with its verdict, and how the recording was made")
  func json() throws {
    let report = try report(kilobytes: 20)
    #expect(report.inputs[0].recording == ["workload": "boot", "seed": "7"])
    let object = try #require(
      JSONSerialization.jsonObject(with: Data(JSON.text(report).utf8)) as? [String: Any])
    let markers = try #require(object["memoryMarkers"] as? [[String: Any]])
    #expect(markers.map { $0["point"] as? String } == ["begin", "mapped"])
    let figures = try #require(markers[1]["figures"] as? [[String: Any]])
    #expect(figures.map { $0["figure"] as? String } == ["secPageTablesBytes", "hugeBytes", "exits"])
    #expect(figures.map { $0["sinceFirst"] as? Bool } == [true, false, false])
    #expect(figures.map { $0["recorded"] as? Int } == [20480, 2_097_152, 1])
    #expect(figures.map { $0["modelled"] as? Int } == [16384, 0, 1])
    #expect(figures.map { $0["difference"] as? Int } == [4096, 2_097_152, 0])
    #expect(figures.map { $0["verdict"] as? String } == ["differs", "covers", "agrees"])
  }

  @Test("The text report has a table of them, and says what contradicts the model")
  func text() throws {
    let lines = try report(kilobytes: 20).text.split(separator: "\n").map(String.init)
    let start = try #require(lines.firstIndex { $0.contains("figures at quiet points") })
    #expect(
      lines[start + 3].split(whereSeparator: \.isWhitespace).joined(separator: " ")
        == "mapped SecPageTables since the first 20,480 16,384 differs")
    #expect(
      lines[start + 4].split(whereSeparator: \.isWhitespace).joined(separator: " ")
        == "blocks in huge pages of 9 2,097,152 0 covers")
    #expect(lines.contains { $0.hasPrefix("  D24 ") })
    #expect(try !report(kilobytes: 16).text.contains("D24"))
  }

  @Test("What neither side has any of is left out, unless it counts from the first marker on")
  func nothing() async throws {
    // Its first VM is gone at the point vmm-2, and that of pages has no huge ones.
    let trace = try TraceFile(path: Recordings.path("kvm-nvhe-7.3.4-reset-guest"))
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: ReplayOptions())
    let text = ReplayReport(trace, statistics, result).text
    let lines = text.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace) }
    let gone = try #require(lines.firstIndex { $0.first == "vmm-2" })
    #expect(lines[gone].dropFirst().joined(separator: " ") == "SecPageTables since the first 0 0 agrees")
    #expect(lines[gone + 1].first == "vmm-ended")
    #expect(!text.contains("blocks in huge pages of 134"), "\(text)")
    let words = lines.joined(separator: [" "]).joined(separator: " ")
    #expect(words.contains("3 figures of what neither side has any of"), "\(text)")
    #expect(words.contains("Since the first: what the host had at the first point is taken off."))
  }

  @Test("A trace without markers has no word of them")
  func none() throws {
    let trace = try TraceFile(path: Recordings.path("kvm-nvhe-7.3.4-demand-paging"))
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: ReplayOptions())
    let text = JSON.text(ReplayReport(trace, statistics, result))
    #expect(!text.contains("memoryMarkers") && !text.contains("recording\""))
  }

  @Test("info counts the points and shows how the recording was made")
  func info() throws {
    let trace = try trace(kilobytes: 16)
    var markers = MarkerCensus()
    var events = trace.events(.replay(probes: false))
    while let run = events.nextRun() { markers.consume(run) }
    let info = TraceInfo(trace, events.statistics, markers: markers)
    #expect(info.recording == ["workload": "boot", "seed": "7"] && info.memoryPoints == ["begin", "mapped"])
    #expect(info.text.contains("seed=7 workload=boot\n"))
    #expect(info.text.contains("the host's memory at 2 points: begin, mapped\n"))
  }

  @Test("Printed events show a marker's text", arguments: EventPrinter.Format.allCases)
  func events(format: EventPrinter.Format) throws {
    let trace = try trace(kilobytes: 16)
    let printer = EventPrinter(format, trace: trace, ids: [MarkerFormat.print.id])
    var events = trace.events(.all)
    let first = events.nextRun()
    let run = try #require(first)
    let line = printer.line(run[0], run.payload(0))
    #expect(line.contains("pkvm-replay:lab workload=boot seed=7"))
    #expect(!line.dropLast().contains("\n") || format == .csv)
  }
}
