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
    #expect(counts["losses"] == 2 && counts["damage"] == 12, "\(counts)")
  }
}
