import Foundation
import Testing

/// What `events` prints, beside what trace-cmd prints of the same recording.
@Suite("Printed events")
struct EventsOutputTests {
  private static let traceCmd: String? =
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/trace-cmd" }
    .first { FileManager.default.isExecutableFile(atPath: $0) }

  @Test("CSV has the fields that trace-cmd has", .enabled(if: traceCmd != nil, "trace-cmd is not installed"))
  func csv() throws {
    let own = try Tool.run(["events", Tool.recording, "--format", "csv", "--event", "kvm_guest_fault"])
    let report = try Tool.shell(
      "trace-cmd report -N -R -t -i \"$1\" 2>/dev/null | grep kvm_guest_fault", [Tool.recording])
    let lines = own.output.split(separator: "\n")
    let reported = report.output.split(separator: "\n")
    #expect(lines.first == "timeNs,cpu,tid,command,event,vcpu_pc,hsr,hxfar,ipa,lost")
    #expect(lines.count - 1 == reported.count && reported.count > 100)
    for (line, other) in zip(lines.dropFirst(), reported) {
      let cells = line.split(separator: ",", omittingEmptySubsequences: false)
      try #require(cells.count == 10)
      // `NAME-TID [CPU] SECONDS.FRACTION: EVENT: name=0x... name=0x...`
      let words = other.split(separator: " ")
      let time = try #require(words.first { $0.hasSuffix(":") && $0.contains(".") })
      #expect(String(cells[0]) == time.filter(\.isNumber), "\(other)")
      #expect(words[0].hasSuffix("-\(cells[2])"), "\(other)")
      #expect(words[0].hasPrefix(cells[3]), "\(other)")
      #expect(words[1] == "[00\(cells[1])]", "\(other)")
      let values = words.compactMap { word -> UInt64? in
        let parts = word.split(separator: "=")
        guard parts.count == 2, parts[1].hasPrefix("0x") else { return nil }
        return UInt64(parts[1].dropFirst(2), radix: 16)
      }
      #expect(cells[5..<9].map { UInt64($0) } == values, "\(other)")
    }
  }

  @Test("CSV tells how many events were lost, as JSON lines do")
  func lost() throws {
    let path = Tool.root.appending(path: "traces/inputs/perf/lost.data").path
    let rows = try Tool.run(["events", path, "--format", "csv", "--allow-loss"]).output.split(separator: "\n")
    let objects = try Tool.run(["events", path, "--format", "jsonl", "--allow-loss"]).output
      .split(separator: "\n").map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
    let counts = objects.filter { $0?["event"] as? String == "lost_events" }.map { $0?["count"] as? Int }
    let lost = rows.map { $0.split(separator: ",", omittingEmptySubsequences: false) }
      .filter { $0[4] == "lost_events" }
    #expect(!counts.isEmpty && lost.map { Int($0.last ?? "") } == counts)
    #expect(rows.count == objects.count + 1)
  }

  @Test("filters keep what they name")
  func filters() throws {
    let all = try Tool.run(["events", Tool.recording, "--format", "csv"]).output.split(separator: "\n")
    let rows = all.dropFirst().map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    let middle = try #require(UInt64(rows[rows.count / 2][0]))
    func kept(_ arguments: [String]) throws -> [[Substring]] {
      let outcome = try Tool.run(["events", Tool.recording, "--format", "csv"] + arguments)
      #expect(outcome.status == 0)
      return outcome.output.split(separator: "\n").dropFirst().map {
        $0.split(separator: ",", omittingEmptySubsequences: false)
      }
    }
    func identity(_ rows: [[Substring]]) -> [[Substring]] { rows.map { Array($0[..<5]) } }
    let seconds = "\(middle / 1_000_000_000).\(String(1_000_000_000 + middle % 1_000_000_000).dropFirst())"
    #expect(try identity(kept(["--cpu", "1"])) == identity(rows.filter { $0[1] == "1" }))
    #expect(
      try identity(kept(["--tid", String(rows[0][2])])) == identity(rows.filter { $0[2] == rows[0][2] }))
    #expect(try identity(kept(["--event", "kvm_exit"])) == identity(rows.filter { $0[4] == "kvm_exit" }))
    #expect(try identity(kept(["--from", seconds])) == identity(rows.filter { UInt64($0[0])! >= middle }))
    #expect(try identity(kept(["--to", seconds])) == identity(rows.filter { UInt64($0[0])! < middle }))
  }

  @Test("every line of JSON is an object with the same events")
  func json() throws {
    let lines = try Tool.run(["events", Tool.recording, "--format", "jsonl", "--cpu", "1"]).output
      .split(separator: "\n")
    let rows = try Tool.run(["events", Tool.recording, "--format", "csv", "--cpu", "1"]).output
      .split(separator: "\n").dropFirst()
    #expect(lines.count == rows.count && lines.count > 10)
    for (line, row) in zip(lines, rows) {
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let cells = row.split(separator: ",", omittingEmptySubsequences: false)
      #expect((object["timeNs"] as? NSNumber)?.stringValue == String(cells[0]))
      #expect(object["event"] as? String == String(cells[4]))
      #expect(object["fields"] is [String: Any])
    }
  }
}
