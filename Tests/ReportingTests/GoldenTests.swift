import Foundation
import Testing

@Suite("Golden reports")
struct GoldenTests {
  @Test("There are recordings to compare with")
  func recordingsExist() {
    #expect(Recordings.names.count >= 15)
  }

  /// `tools/bless` writes the reports anew; a change of one is explained where it is committed.
  @Test("The JSON report of a recording is what it was", arguments: Recordings.names)
  func report(name: String) async throws {
    let golden = try String(contentsOf: Recordings.golden(name), encoding: .utf8)
    let found = try await ReplayedRecordings.shared.replay(name).report
    if found != golden {
      let difference = zip(found.split(separator: "\n"), golden.split(separator: "\n")).first { $0 != $1 }
      Issue.record(
        "\(name): the report has \(difference?.0 ?? "more lines"), the golden file \(difference?.1 ?? "more lines")"
      )
    }
  }
}
