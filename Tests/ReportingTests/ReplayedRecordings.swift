import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay

@testable import Reporting

/// The recordings, each replayed once in a test run, however many tests look at it.
actor ReplayedRecordings {
  static let shared = ReplayedRecordings()

  /// What tests look at.
  struct Replayed: Sendable {
    /// The JSON report without its series.
    var report: String
    /// What a planner sees of it.
    var samples: [VMSample]
    /// When each of these VMs appeared, and when a vCPU of it ran last.
    var lives: [ClosedRange<Nanoseconds>]
    /// What the stage 2 of each of these VMs occupied just before it ended, nil of one that has not.
    var lastBytes: [Int?]
    /// What `compare` holds against another kernel.
    var metrics: [Metric]
    /// What the host counted itself.
    var markers: [MarkerResult]
    /// The kernel and machine.
    var profile: Profile
    /// The pages that a PGD may have there.
    var pgdPages: ClosedRange<Int>
  }

  private var replays: [String: Task<Replayed, any Error>] = [:]

  func replay(_ name: String) async throws -> Replayed {
    if let known = replays[name] { return try await known.value }
    let task = Task.detached { try Self.run(name) }
    replays[name] = task
    return try await task.value
  }

  private static func run(_ name: String) throws -> Replayed {
    let trace = try TraceFile(path: Recordings.path(name))
    var options = ReplayOptions()
    options.longest = 1
    let (result, statistics) = try Replay.run(trace, profile: ProfileRequest(), options: options)
    var report = ReplayReport(trace, statistics, result)
    report.removeSeries()
    report.inputs[0].path = "traces/\(name).dat"
    let samples = CapacityRecording(name, position: 0, result).samples
    return Replayed(
      report: JSON.text(report), samples: samples,
      lives: samples.map { sample in
        let vm = result.vms[sample.vm]
        return vm.since...vm.lastSeen
      }, lastBytes: samples.map { result.vms[$0.vm].lastMemory?.totalBytes.live },
      metrics: Metric.metrics([result], statistics), markers: result.markers,
      profile: result.profile.profile,
      pgdPages: result.profile.pgdPages)
  }
}
