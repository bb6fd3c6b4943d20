import KVMTrace
import Stage2Replay
import Testing

@testable import Reporting

/// The kernel that was traced, modelled as `compare` models another one.
@Suite("The traced kernel as another kernel")
struct TracedKernelTests {
  /// Of the least and the most that a trace allows the most is replayed here: where nothing is open they are the same.
  @Test("Its operations, hypercalls and memory are those of the replay", arguments: Recordings.names)
  func same(name: String) async throws {
    let replayed = try await ReplayedRecordings.shared.replay(name).metrics.filter { !$0.isOfLock }
    var options = ReplayOptions()
    options.otherKernel = OtherKernel(ProfileRequest(), .most)
    let trace = try TraceFile(path: Recordings.path(name))
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: options)
    let modelled = Metric.metrics([result], statistics)
    #expect(modelled.map(\.name) == replayed.map(\.name))
    let differing = zip(replayed, modelled).filter { $0.least != $1.least || $0.most != $1.most }
    #expect(differing.isEmpty, "\(differing.map { "\($0.name): \($0.most), modelled \($1.most)" })")
  }
}
