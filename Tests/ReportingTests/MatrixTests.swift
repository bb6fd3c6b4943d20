import Foundation
import Testing

/// The matrix of the recordings in `traces/README.md`, which `tools/matrix` writes from the digests of their reports.
@Suite("Matrix of the recordings")
struct MatrixTests {
  /// The rows of a generated table: their cells, by the name in the first one.
  private static func rows(_ mark: String, of file: URL) throws -> [String: [String]] {
    let text = try String(contentsOf: file, encoding: .utf8)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex(of: "<!-- \(mark) -->"))
    let end = try #require(lines.firstIndex(of: "<!-- end of \(mark) -->"))
    var rows: [String: [String]] = [:]
    for line in lines[start..<end] where line.hasPrefix("| `") {
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      rows[cells[0].trimmingCharacters(in: ["`"])] = Array(cells[1...])
    }
    return rows
  }

  private static func rows() throws -> [String: [String]] {
    try rows("matrix", of: Recordings.folder.appending(path: "README.md"))
  }

  private static func golden(_ name: String) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: Recordings.golden(name))) as? [String: Any])
  }

  @Test("It has a row for each recording, and no other")
  func complete() throws {
    #expect(try Self.rows().keys.sorted() == Recordings.names)
  }

  @Test("Its figures are those of the golden reports")
  func figures() throws {
    let rows = try Self.rows()
    for name in Recordings.names {
      let golden = try Self.golden(name)
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

  @Test("The agreement that the README claims is that of the golden reports")
  func agreement() throws {
    let rows = try Self.rows("agreement", of: Recordings.root.appending(path: "README.md"))
    #expect(
      rows.keys.sorted() == ["map", "mkyoung", "relax_perms", "test_clear_young", "unmap", "wrprotect"])
    for (kind, row) in rows {
      var (all, alike, derivedWrong) = (0, 0, 0)
      for name in Recordings.names {
        guard let agreement = try Self.golden(name)["agreement"] as? [String: [String: Any]],
          let score = agreement[kind]
        else { continue }
        let (recorded, predicted) = (score["recorded"] as? Int, score["predicted"] as? Int)
        all += max(try #require(recorded), try #require(predicted))
        alike += try #require(score["matched"] as? Int)
        derivedWrong += try #require(score["derivedWrong"] as? Int)
      }
      let figures = row.map { Int($0.filter { $0 != "," }) }
      #expect(figures[0] == all && figures[1] == alike && figures[4] == derivedWrong, "\(kind): \(row)")
    }
  }

  private static func agreeing(_ golden: [String: Any]) -> String {
    let verdicts = golden["markerVerdicts"] as? [String: Int] ?? [:]
    let agreeing = verdicts["agrees", default: 0] + verdicts["covers", default: 0]
    return verdicts.isEmpty ? "none" : "\(agreeing) of \(verdicts.values.reduce(0, +))"
  }
}
