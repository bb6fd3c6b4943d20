import Foundation
import KVMTrace
import Stage2Replay
import Testing

@testable import Reporting

@Suite("Golden reports")
struct GoldenTests {
  @Test("There are recordings to compare with")
  func recordingsExist() {
    #expect(Recordings.names.count >= 15)
  }

  /// `tools/bless` writes the reports anew; a change of one is explained where it is committed.
  @Test("The JSON report of a recording is what it was", arguments: Recordings.names)
  func report(name: String) throws {
    let trace = try TraceFile(path: Recordings.path(name))
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: ReplayOptions())
    var report = ReplayReport(trace, statistics, result)
    report.removeSeries()
    report.inputs[0].path = "traces/\(name).dat"
    let golden = try String(contentsOf: Recordings.golden(name), encoding: .utf8)
    let found = JSON.text(report)
    if found != golden {
      let difference = zip(found.split(separator: "\n"), golden.split(separator: "\n")).first { $0 != $1 }
      Issue.record(
        "\(name): the report has \(difference?.0 ?? "more lines"), the golden file \(difference?.1 ?? "more lines")"
      )
    }
  }
}
