import DatabaseReader
import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// What a replay could not know stands in one row of the page and one list of the report.
@Suite("What was not known")
struct NotKnownTests {
  /// A vCPU that ran before the trace began, whose slots no event tells, and a notifier of the host's.
  private func trace(_ clock: String = "local") throws -> UnnamedFile {
    let flavour = TraceFlavour()
    var page = SubBufferPageBuilder(flavour, timestamp: 0)
    let events: [(EventFormat, [UInt64])] = [
      (KVMEventFormats.entry, [0x1000]), (KVMEventFormats.exit, [2, 0x24, 0x1000]),
      (KVMEventFormats.guestFault, [0x1000, 0x9200_0047, 0x4000_0000, 0x4000_0000]),
      (KVMEventFormats.entry, [0x1000]), (KVMEventFormats.exit, [0, 0, 0x1000]),
      (KVMEventFormats.unmapHVARange, [0xff00_0000_0000, 0xff00_0000_1000]),
    ]
    for (position, event) in events.enumerated() {
      precondition(
        page.append(
          event.0.payload(event.1, pid: 7, flavour: flavour), at: 1_000_000 + UInt64(position) * 1000))
    }
    let buffer = TraceBuffer(clock: clock, cpus: [0])
    let writer = TraceDatWriter(
      TraceDescription(flavour, formats: KVMEventFormats.all, buffers: [buffer]))
    try writer.append(page.finish(), cpu: 0)
    return try UnnamedFile(writer.bytes())
  }

  private func notKnown(_ paths: [String]) throws -> [String: Int] {
    let json = try Tool.run(["replay", "--json", "-"] + paths)
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    let list = try #require(report["notKnown"] as? [[String: Any]])
    return Dictionary(
      list.map { ($0["what"] as? String ?? "", $0["count"] as? Int ?? -1) }, uniquingKeysWith: { $1 })
  }

  @Test("Everything that applies is counted, and is said once")
  func row() throws {
    let file = try trace()
    let counts = try notKnown([file.path])
    #expect(counts["notifiersInUnknownSlots"] == 1 && counts["notRecorded"] == 1, "\(counts)")
    #expect(
      counts["runningVMs"] == 1 && counts["losses"] == nil && counts["nestedFaults"] == nil, "\(counts)")
    let text = try Tool.run(["replay", file.path]).output
    let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    for part in [
      "unknown 1 notifier on memory in no known slot (1 unmap); what 1 VM had before the trace began;"
    ] {
      #expect(words.contains(part), "\(text)")
    }
    #expect(words.components(separatedBy: "in no known slot").count == 2, "\(text)")
    // Of memslots there is no event, and where the words stand alone nothing is below.
    #expect(words.contains("of information would tell") && !words.contains("(below)"), "\(text)")
  }

  @Test("A clock that tells no time is among it, without a count")
  func clock() throws {
    let file = try trace("counter")
    #expect(try notKnown([file.path])["clockWithoutTime"] == -1)
    let text = try Tool.run(["replay", file.path]).output
    #expect(text.contains("how long anything took"), "\(text)")
  }

  @Test("What is true of some inputs alone is said of so many")
  func ofSome() throws {
    let files = [try trace(), try trace("counter"), try trace("counter")]
    func text(_ files: [UnnamedFile]) throws -> String {
      try Tool.run(["replay"] + files.map(\.path)).output.split(whereSeparator: \.isWhitespace)
        .joined(separator: " ")
    }
    let some = try text(files)
    #expect(some.contains("how long anything took, by the clock of 2 of the 3 recordings"), "\(some)")
    let all = try text(Array(files.dropFirst()))
    #expect(all.contains("how long anything took, by the clock of all recordings"), "\(all)")
    // Each lacks the same kinds.
    #expect(try notKnown(files.map(\.path))["notRecorded"] == notKnown([files[0].path])["notRecorded"])
  }

  @Test("What was before a window is not known, and the window is named, in every form of the output")
  func window() throws {
    let trace = Tool.smallRecording
    let folder = FileManager.default.temporaryDirectory.appending(path: "window-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    func run(_ name: String, _ window: [String]) throws -> (report: [String: Any], database: DatabaseReader) {
      let path = folder.appending(path: name).path()
      let outcome = try Tool.run(
        ["replay", trace, "--json", "\(path).json", "--sqlite", "\(path).db", "--perfetto", "\(path).tracks"]
          + window)
      #expect(outcome.status == 0, "\(outcome.errors)")
      let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: "\(path).json")))
      return (try #require(json as? [String: Any]), try DatabaseReader(path: "\(path).db"))
    }
    let words = "what the VMs had before this window"
    func tracks(_ name: String) throws -> String {
      String(decoding: try Data(contentsOf: folder.appending(path: "\(name).tracks")), as: UTF8.self)
    }
    let part = try run("part", ["--from", "+0.4"])
    let entries = try #require(part.report["notKnown"] as? [[String: Any]])
    #expect(
      entries.contains {
        $0["what"] as? String == "beforeWindow" && ($0["words"] as? String)?.hasPrefix(words) == true
      })
    #expect(
      try part.database.number("SELECT count(*) FROM not_known WHERE what = 'beforeWindow' AND count IS NULL")
        == 1)
    let inputs = try #require(part.report["inputs"] as? [[String: Any]])
    let events = try #require((inputs[0]["window"] as? [String: Any])?["events"] as? Int)
    #expect(try part.database.number("SELECT part_events FROM recordings") == Int64(events))
    #expect(try part.database.number("SELECT events FROM recordings WHERE events > part_events") != nil)
    #expect(try tracks("part").contains(words))

    let begin = try run("begin", ["--to", "+0.4"])
    let begun = begin.report["notKnown"] as? [[String: Any]] ?? []
    #expect(!begun.contains { $0["what"] as? String == "beforeWindow" })
    #expect(try tracks("begin").contains("window") && !tracks("begin").contains(words))
    let whole = try run("whole", [])
    #expect(try whole.database.number("SELECT count(*) FROM recordings WHERE part_events IS NULL") == 1)
  }

  @Test("Over several inputs the counts are added up")
  func several() throws {
    let file = try trace()
    let other = try trace()
    let counts = try notKnown([file.path, other.path])
    #expect(counts["notifiersInUnknownSlots"] == 2 && counts["runningVMs"] == 2, "\(counts)")
    let text = try Tool.run(["replay", file.path, other.path]).output
    let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(words.contains("unknown 2 notifiers on memory in no known slot; what 2 VMs had"), "\(text)")
  }

  @Test("Damage of the file is not counted as places where the kernel lost events")
  func damage() throws {
    let name = "traces/inputs/failed/trace-dat-format-string-of-printk-of-two-bytes"
    let counts = try notKnown([Tool.root.appendingPathComponent(name).path])
    #expect(counts["losses"] == 2 && counts["damage"] == 13, "\(counts)")
  }
}
