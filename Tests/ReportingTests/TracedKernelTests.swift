import Foundation
import KVMTrace
import Stage2Replay
import Testing

@testable import Reporting

/// The kernel that was traced, modelled as `compare` models another one.
@Suite("The traced kernel as another kernel")
struct TracedKernelTests {
  /// One recording for each kind of decision that the traced kernel's replay hands on, unless all are asked for (`tools/all-recordings`): each is
  /// replayed once more, under two models.
  private static let names =
    ProcessInfo.processInfo.environment["PKVM_REPLAY_ALL"] == nil
    ? [
      "kvm-nvhe-6.12.107-dirty-log-thp", "kvm-nvhe-7.3.4-eager-split-guest", "kvm-nvhe-7.3.4-failing-guest",
      "kvm-nvhe-7.3.4-gigantic-guest", "kvm-nvhe-7.3.4-joined-guest", "kvm-nvhe-7.3.4-reset-guest",
      "kvm-vhe-7.3.4-page-table-thp", "pkvm-hvhe-7.3.4-16k-protected-guest", "pkvm-nvhe-7.3.4-memfd-guest",
    ] : Recordings.names

  /// Of the least and the most that a trace allows the most is replayed here: where nothing is open they are the same.
  @Test("Its operations, hypercalls and memory are those of the replay", arguments: names)
  func same(name: String) async throws {
    let replayed = try await ReplayedRecordings.shared.replay(name).metrics.filter { !$0.isMeasured }
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
