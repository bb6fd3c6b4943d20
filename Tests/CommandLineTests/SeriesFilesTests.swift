import Foundation
import Testing

/// `replay --csv`.
@Suite("Series as CSV")
struct SeriesFilesTests {
  @Test("Each series is a file whose rows are as wide as its header; the last memory is that of the report")
  func files() throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "series-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    let outcome = try Tool.run(["replay", Tool.recording, "--csv", directory.path(), "--json", "-"])
    #expect(outcome.status == 0)
    var last: [String: [Substring]] = [:]
    for name in ["memory", "lock", "working-set", "first-touch", "idle"] {
      let text = try String(contentsOf: directory.appending(path: "\(name).csv"), encoding: .utf8)
      let rows = text.split(separator: "\n").map {
        $0.split(separator: ",", omittingEmptySubsequences: false)
      }
      #expect(rows.count > 1, "\(name)")
      #expect(rows.allSatisfy { $0.count == rows[0].count }, "\(name)")
      last[name] = rows.last
    }
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
    let vm = try #require((report["vms"] as? [[String: Any]])?.last)
    let memory = try #require(vm["memory"] as? [String: Any])
    let bytes = try #require((memory["totalBytes"] as? [String: Any])?["live"] as? Int)
    #expect(last["memory"]?.last == Substring(String(bytes)))
    #expect((memory["series"] as? [Any])?.isEmpty == false)
  }

  @Test("Without the series, the JSON report has the same fields but those")
  func noSeries() throws {
    let with = try Tool.run(["replay", Tool.recording, "--json", "-"])
    let without = try Tool.run(["replay", Tool.recording, "--json", "-", "--no-series"])
    #expect(without.output.count < with.output.count)
    #expect(!without.output.contains("\"series\""))
  }

  @Test("A directory that cannot be made is one line and status 74")
  func unwritable() throws {
    let outcome = try Tool.run(["replay", Tool.recording, "--csv", "/dev/null/x"])
    #expect(outcome.status == 74)
    #expect(outcome.errors.split(separator: "\n").count == 1)
  }
}
