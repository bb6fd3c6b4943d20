import Foundation
import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay
import UnnamedFiles

/// Real hosts break no rule without a reason.
@Suite("Divergences of recordings")
struct RecordingDivergenceTests {
  private func divergences(
    _ trace: TraceFile, _ options: ReplayOptions = ReplayOptions()
  ) throws -> DivergenceReport {
    var options = options
    options.ignoresProbes = true
    return try Replay.run(trace, profile: ProfileRequest(), options: options).result.divergences
  }

  @Test(
    "Nothing is unexplained, and of a whole trace hardly anything is unknown", arguments: Recordings.names)
  func whole(name: String) throws {
    let found = try Recordings.replay(name).result.divergences
    let first = found.items.first.map {
      "\($0.rule.id) at \($0.time.rawValue): \($0.observed); \($0.expected)"
    }
    #expect(found.unexplained == 0, "\(first ?? "")")
    if AgreementTests.isIncomplete(name) { return }
    #expect(found.unknown <= (AgreementTests.isContested(name) ? 10 : 4))
  }

  @Test("Nor is anything unexplained without the probes", arguments: Recordings.sample)
  func withoutProbes(name: String) throws {
    #expect(try divergences(Recordings.trace(name)).unexplained == 0)
  }

  @Test("Nor in the second half, of which the beginning is not known", arguments: Recordings.sample)
  func midLife(name: String) throws {
    let trace = try Recordings.trace(name)
    var first = Nanoseconds(.max)
    var last = Nanoseconds(0)
    var events = trace.events(.replay(probes: false))
    while let run = events.nextRun() {
      first = min(first, run[0].time)
      last = max(last, run[run.count - 1].time)
    }
    var options = ReplayOptions()
    options.from = Nanoseconds((first.rawValue + last.rawValue) / 2)
    #expect(try divergences(trace, options).unexplained == 0)
  }

  @Test("Nor in a file that was cut", arguments: [30, 60, 90])
  func cut(percent: Int) throws {
    for name in ["pkvm-nvhe-7.3.4-page-table-thp.dat", "kvm-nvhe-7.3.4-page-table.dat"] {
      let data = try Data(contentsOf: Recordings.url(name))
      let file = try UnnamedFile(data.prefix(data.count * percent / 100))
      // Of a file that is cut before its first event there is nothing to say.
      guard let trace = try? TraceFile(path: file.path) else { continue }
      #expect(try divergences(trace).unexplained == 0)
    }
  }
}
