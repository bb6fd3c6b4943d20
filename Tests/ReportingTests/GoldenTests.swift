import Foundation
import Testing

/// `traces/golden` has a digest of each recording's report, which a person can read and whose hash is that of the whole
/// report: nothing changes unseen. `tools/golden` makes the reports themselves, and shows what changed in them.
@Suite("Golden reports")
struct GoldenTests {
  /// With this variable in the environment the digests are written anew: `tools/bless` sets it.
  private static let isBlessing = ProcessInfo.processInfo.environment["BLESS_GOLDEN"] != nil

  @Test("There are recordings to compare with")
  func recordingsExist() {
    #expect(Recordings.names.count >= 15)
  }

  @Test("Each digest is of a recording")
  func digestsAreOfRecordings() throws {
    let files = try FileManager.default.contentsOfDirectory(
      atPath: Recordings.folder.appending(path: "golden").path())
    #expect(Set(files).isSubset(of: Recordings.names.map { "\($0).json" }))
  }

  /// A change of a digest is explained where it is committed.
  @Test("The JSON report of a recording is what it was", arguments: Recordings.names)
  func report(name: String) async throws {
    let report = try await ReplayedRecordings.shared.replay(name).report
    let found = try ReportDigest(report: report).text
    if Self.isBlessing {
      return try found.write(to: Recordings.golden(name), atomically: true, encoding: .utf8)
    }
    let golden = try String(contentsOf: Recordings.golden(name), encoding: .utf8)
    if found != golden {
      Issue.record(
        "\(name): the report differs\n\(Self.difference(golden, found))\ntools/golden --against COMMIT \(name) shows all"
      )
    }
  }

  /// The lines that only one of two texts has, the first dozen of them, as `diff` marks them.
  private static func difference(_ before: String, _ after: String) -> String {
    let (before, after) = (before.split(separator: "\n"), after.split(separator: "\n"))
    let changes = after.difference(from: before).map { change in
      switch change {
      case .remove(_, let line, _): "- \(line)"
      case .insert(_, let line, _): "+ \(line)"
      }
    }
    return changes.prefix(12).joined(separator: "\n")
  }
}
