import Foundation
import KVMTrace
import KVMTypes
import Pictures
import Reporting
import Stage2Model
import Stage2Replay
import Testing
import UnnamedFiles

@testable import HTMLReport

/// The page is no more certain than the text and the JSON report of the same replay: what nothing tells is unknown in all three.
@Suite("Unknown figures in text, JSON and page")
struct UnknownFiguresTests {
  private static let traces = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("traces")

  /// Recordings that lack something.
  enum Input: String, CaseIterable {
    case withoutFaults, withoutEntries, withoutAges, unreadableFaults, emptyWindow, faultlessWindow, whole

    /// It without the lines of an event.
    private static func text(without name: String) throws -> UnnamedFile {
      let path = traces.appendingPathComponent("inputs/text/trace.txt")
      let lines = try String(contentsOf: path, encoding: .utf8).split(separator: "\n").filter {
        !$0.contains(name)
      }
      return try UnnamedFile(lines.joined(separator: "\n").utf8)
    }

    fileprivate func recording() throws -> HTMLReport.Recording {
      var options = ReplayOptions()
      let whole = traces.appendingPathComponent("pkvm-hvhe-7.3.4-plain-guest.dat").path
      switch self {
      case .withoutFaults: return try Self.replay(Self.text(without: "kvm_guest_fault:"), options)
      case .withoutEntries: return try Self.replay(Self.text(without: "kvm_entry:"), options)
      case .withoutAges: return try Self.replay(Self.text(without: "age_hva:"), options)
      case .unreadableFaults:
        let name = "inputs/failed/trace-dat-format-string-of-printk-of-two-bytes"
        return try Self.replay(path: traces.appendingPathComponent(name).path, options)
      case .emptyWindow:
        (options.from, options.to) = (Nanoseconds(28_200_000_000), Nanoseconds(28_200_000_001))
        return try Self.replay(path: whole, options)
      case .faultlessWindow:
        (options.from, options.to) = (Nanoseconds(26_235_376_656), Nanoseconds(28_235_376_656))
        return try Self.replay(path: whole, options)
      case .whole: return try Self.replay(path: whole, options)
      }
    }

    private static func replay(_ file: UnnamedFile, _ options: ReplayOptions) throws -> HTMLReport.Recording {
      try withExtendedLifetime(file) { try replay(path: file.path, options) }
    }

    private static func replay(path: String, _ options: ReplayOptions) throws -> HTMLReport.Recording {
      let trace = try TraceFile(path: path)
      let pictures = ReplayPictures()
      let (result, statistics) = try Replay.run(
        trace, profile: ProfileRequest(), options: options, observer: pictures.observer,
        onOperation: { pictures.add($0) })
      let report = ReplayReport(trace, statistics, result)
      let last = Nanoseconds(report.inputs[0].replayed.upperBound)
      return HTMLReport.Recording(report, pictures: pictures.finish(result, last: last), gaps: result.gaps)
    }
  }

  private static func words(_ text: String) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  /// A figure as a row of the page has it.
  private static func figure(_ name: String, _ rows: [[String]]) throws -> [String] {
    Array(try #require(rows.first { $0.first == name }, "\(name)").dropFirst())
  }

  @Test(
    "The summary has the figures of the JSON report, with their basis, and says unknown where that has none",
    arguments: Input.allCases)
  func summary(input: Input) throws {
    let recording = try input.recording()
    let report = recording.report
    let json = try #require(
      JSONSerialization.jsonObject(with: Data(JSON.text(report).utf8)) as? [String: Any])
    let vms = try #require(json["vms"] as? [[String: Any]])
    let page = HTMLReport.page([recording], maker: "a program").source
    let rows = try PageReading.rows("What the replay found", in: page, from: "r0-summary")

    let faults = vms.map { ($0["faults"] as? [String: Any])?["total"] as? Int }
    let notRecorded = (json["notRecorded"] as? [[String: Any]] ?? []).flatMap {
      $0["events"] as? [String] ?? []
    }
    let areTold = !notRecorded.contains("kvm_guest_fault")
    #expect(
      try Self.figure("faults", rows)
        == (areTold
          ? [Quantity.count(faults.reduce(0) { $0 + ($1 ?? 0) }), "recorded"] : ["unknown", "unknown"]))
    #expect(try Self.figure("VMs", rows)[0] == (vms.isEmpty && !areTold ? "unknown" : String(vms.count)))

    let divergences = try #require(json["divergences"] as? [String: Any])
    let why = divergences["uncheckedWhy"] as? String
    for (name, key) in [
      ("unexplained divergences", "unexplained"), ("explained divergences", "explained"),
      ("divergences where the state was not known", "unknown"),
    ] {
      let count = try #require(divergences[key] as? Int)
      let found = try Self.figure(name, rows)
      #expect(
        found == (count == 0 ? why.map { ["unknown: \($0)", "unknown"] } : nil)
          ?? [Quantity.count(count), "derived"],
        "\(name)")
    }
    #expect((why == nil) == (input == .whole))
    if let why {
      #expect(Self.words(report.text).contains(why), "\(report.text)")
      #expect(page.contains(why))
    }
    #expect(!page.contains(">0</td><td>unknown<"))
    // A 0 of what was not recorded stands nowhere.
    if !areTold {
      #expect(rows.allSatisfy { $0[1].hasPrefix("unknown") || $0[0] == "VMs" }, "\(rows)")
    }
  }

  @Test("Each VM has the figures of the text", arguments: Input.allCases)
  func vms(input: Input) throws {
    let recording = try input.recording()
    let text = Self.words(recording.report.text)
    let page = HTMLReport.page([recording], maker: "a program").source
    for vm in recording.report.vms {
      let rows = try PageReading.rows("The VM", in: page, from: "r0-vm\(vm.id)")
      let vcpus = try Self.figure("vCPUs", rows)[0]
      #expect(text.contains(vcpus == "unknown" ? "vCPUs unknown" : "\(vcpus) vCPU"), "\(text)")
      #expect(text.contains("faults \(try Self.figure("faults", rows)[0])"), "\(text)")
      let divergences = try Self.figure("divergences", rows)
      #expect((vm.divergences.uncheckedWhy != nil) == (divergences[1] == "unknown"))
      #expect(text.contains("memory unknown") == page.contains("Nothing tells what is mapped"))
    }
  }

  @Test("What the text says of a part, and of an assumed access flag, the page says, too")
  func caveats() throws {
    let recording = try Input.faultlessWindow.recording()
    let page = Self.words(HTMLReport.page([recording], maker: "a program").source)
    let text = Self.words(recording.report.text)
    for words in ["what the VMs had before this window", "D6 and D10 are not checked"] {
      #expect(text.contains(words) && page.contains(words), "\(words)")
    }
  }

  @Test("Of several recordings the sums say of how many nothing can be told")
  func several() throws {
    let recordings = [try Input.whole.recording(), try Input.withoutFaults.recording()]
    let page = HTMLReport.page(recordings, maker: "a program").source
    let rows = try PageReading.rows("The recordings", in: page, from: "all")
    #expect(
      rows.map(\.last) == [
        "0", "unknown: there is no fault to hold against the model",
        "unknown: none can be told of 1 of the 2 recordings",
      ])
    // Both recordings have VMs, and the faults of one of these are known.
    let faults = Quantity.count(
      try #require(recordings[0].report.vms.compactMap(\.faults?.total).reduce(0, +)))
    let unknown = recordings[1].report.vms.count
    #expect(
      rows.map { $0[3] } == [
        faults, "unknown", "\(faults), and those of \(Quantity.count(unknown, "VM")) are unknown",
      ])
    let text = Self.words(ReplayReport.text(recordings.map(\.report)))
    #expect(
      text.contains("divergences unknown: none can be told of 1 of the 2 recordings")
        || text.contains("none can be told of 1 of the 2 recordings"), "\(text)")
  }

  @Test("A mode of the lock that was not recorded is not drawn as 0")
  func lock() throws {
    var recording = try Input.whole.recording()
    let vm = try #require(
      recording.report.vms.first { $0.lock?.read?.heldNs == nil || $0.lock?.write != nil })
    func series() throws -> [String] {
      let page = HTMLReport.page([recording], maker: "a program").source
      let figure = try #require(
        page.components(separatedBy: "<figure").first { $0.contains("id=\"r0-vm\(vm.id)-lock\"") })
      return figure.matches(of: /\["(held to write|held to read|waited for)"/).map { String($0.1) }
    }
    let position = try #require(recording.report.vms.firstIndex { $0.id == vm.id })
    recording.report.vms[position].lock?.read = nil
    #expect(try !series().contains("held to read") && series().contains("held to write"))
    recording.report.vms[position].lock?.write?.waitNs = nil
    #expect(try !series().contains("waited for"))
  }

  @Test("Where nothing says where events are missing, the whole time is marked")
  func anywhere() throws {
    #expect(try Input.withoutAges.recording().gaps == [Nanoseconds(0)..<Nanoseconds(.max)])
    #expect(try Input.whole.recording().gaps.isEmpty)
  }

  @Test("Where faults are unknown the operations of the host alone are no sum of all")
  func withoutFaults() throws {
    var recording = try Input.whole.recording()
    let all = recording.report.summary.first { $0.name == "operations, derived" }?.value
    for position in recording.report.vms.indices { recording.report.vms[position].faults = nil }
    let page = HTMLReport.page([recording], maker: "a program").source
    let rows = try PageReading.rows("What the replay found", in: page, from: "r0-summary")
    #expect(
      try Self.figure("operations, derived", rows)[0] == "\(try #require(all)), without those of faults")
  }
}
