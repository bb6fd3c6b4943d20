import Foundation
import Testing

/// The matrix of the recordings in `traces/README.md`, which `tools/matrix` writes from the golden reports.
@Suite("Matrix of the recordings")
struct MatrixTests {
  private static func rows() throws -> [String: [String]] {
    let text = try String(contentsOf: Recordings.folder.appending(path: "README.md"), encoding: .utf8)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex(of: "<!-- matrix -->"))
    let end = try #require(lines.firstIndex(of: "<!-- end of matrix -->"))
    var rows: [String: [String]] = [:]
    for line in lines[start..<end] where line.hasPrefix("| `") {
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      rows[cells[0].trimmingCharacters(in: ["`"])] = Array(cells[1...])
    }
    return rows
  }

  @Test("It has a row for each recording, and no other")
  func complete() throws {
    #expect(try Self.rows().keys.sorted() == Recordings.names)
  }

  @Test("Its figures are those of the golden reports")
  func figures() throws {
    let rows = try Self.rows()
    for name in Recordings.names {
      let golden = try #require(
        try JSONSerialization.jsonObject(with: Data(contentsOf: Recordings.golden(name))) as? [String: Any])
      let row = try #require(rows[name])
      let inputs = try #require(golden["inputs"] as? [[String: Any]])
      let vms = try #require(golden["vms"] as? [[String: Any]])
      let divergences = try #require(golden["divergences"] as? [String: Any])
      let faults = vms.compactMap { ($0["faults"] as? [String: Any])?["total"] as? Int }.reduce(0, +)
      let expected = [inputs[0]["events"] as? Int, vms.count, faults]
      #expect(row[0..<3].map { Int($0) } == expected, "\(name)")
      let counts = ["unexplained", "explained", "unknown"].map { divergences[$0] as? Int }
      #expect(row[4..<7].map { Int($0) } == counts, "\(name)")
      #expect(row[7] == Self.agreeing(golden), "\(name)")
    }
  }

  private static func agreeing(_ golden: [String: Any]) -> String {
    let markers = golden["memoryMarkers"] as? [[String: Any]] ?? []
    let figures = markers.flatMap { $0["figures"] as? [[String: Any]] ?? [] }
    let verdicts = figures.map { $0["verdict"] as? String }
    return verdicts.isEmpty ? "none" : "\(verdicts.count { $0 == "agrees" }) of \(verdicts.count)"
  }
}
