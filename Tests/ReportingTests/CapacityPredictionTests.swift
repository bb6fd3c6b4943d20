import KVMTypes
import Stage2Model
import Stage2Replay
import Testing

@testable import Reporting

/// A plan made from one half of the recordings of a workload, against what the kernel counted in the other half.
@Suite("Capacity against the kernel's own figures")
struct CapacityPredictionTests {
  /// The part of a recording's name behind host, kernel and page size.
  private static func workload(_ name: String) -> String {
    name.split(separator: "-").dropFirst(3).drop { $0 == "16k" }.joined(separator: "-")
  }

  /// What one recording counts at the marker at which it counts most, and what was to be expected.
  private struct Check: CustomStringConvertible {
    var recording: String
    var figure: MarkerFigure.Kind
    var recorded: Double
    var range: ClosedRange<Double>

    var holds: Bool { range.contains(recorded) }
    var width: Double { range.upperBound / max(range.lowerBound, 1) }
    var description: String {
      "\(recording) \(figure.name): \(Int(recorded)) in \(Int(range.lowerBound)) to \(Int(range.upperBound)), "
        + "a factor of \((width * 10).rounded() / 10)"
    }
  }

  /// - Parameter samples: of other recordings of the workload.
  private static func checks(
    _ name: String, _ replayed: ReplayedRecordings.Replayed, from samples: [VMSample]
  ) throws -> [Check] {
    let kinds: [(MarkerFigure.Kind, HostFigure)] = [
      (.secPageTables, .secPageTablesBytes), (.mappings, .mappingTreeBytes),
    ]
    return try kinds.compactMap { kind, figure in
      let counted = replayed.markers.compactMap { marker in
        marker.figures.first { $0.kind == kind }.map { (marker.time, $0.recorded) }
      }
      guard let (time, recorded) = counted.max(by: { $0.1 < $1.1 }), recorded > 0 else { return nil }
      let began = replayed.samples.indices.filter { replayed.lives[$0].lowerBound <= time }
      let there = began.filter { replayed.lives[$0].upperBound >= time }
      let expected = try (there.isEmpty ? began.suffix(1) : there).map { index in
        let sample = replayed.samples[index]
        let request = CapacityRequest(
          vms: 1, memoryBytes: sample.ramBytes, vcpus: sample.vcpus, profile: replayed.profile,
          pgdPages: replayed.pgdPages)
        let plan = try CapacityPlan(request, samples.filter { $0.isProtected == sample.isProtected })
        return try #require(
          plan.groups.first { $0.isProtected == sample.isProtected }?.predicted[figure.rawValue])
      }
      guard !expected.isEmpty else { return nil }
      let size = kind == .mappings ? replayed.profile.bytesPerNode : 1
      // One of the VMs that are there may just have begun.
      let least = expected.map { Double($0.least) }.min() ?? 0
      let most = expected.reduce(0) { $0 + Double($1.most) }
      return Check(
        recording: name, figure: kind, recorded: Double(recorded * size), range: least...most)
    }
  }

  @Test("What one half of the recordings of a workload tells holds for the other half")
  func halves() async throws {
    var checks: [Check] = []
    for (_, names) in Dictionary(grouping: Recordings.names, by: Self.workload) where names.count > 1 {
      var halves: [[(String, ReplayedRecordings.Replayed)]] = [[], []]
      for name in names {
        let replayed = try await ReplayedRecordings.shared.replay(name)
        let markers = replayed.markers.flatMap(\.figures)
        let counts = markers.contains { $0.kind == .secPageTables || $0.kind == .mappings }
        if counts { halves[halves[0].count > halves[1].count ? 1 : 0].append((name, replayed)) }
      }
      for (known, other) in [(halves[0], halves[1]), (halves[1], halves[0])] where !known.isEmpty {
        let samples = known.flatMap(\.1.samples)
        for (name, replayed) in other {
          checks += try Self.checks(name, replayed, from: samples)
        }
      }
    }
    for kind in [MarkerFigure.Kind.secPageTables, .mappings] {
      let own = checks.filter { $0.figure == kind }.sorted { $0.width < $1.width }
      #expect(own.count > 15)
      print(
        "\(own.count { $0.holds }) of \(own.count) \(kind.name) inside; the narrowest, median and widest range:"
      )
      for check in [own[0], own[own.count / 2], own[own.count - 1]] { print("  \(check)") }
    }
    // A range that holds everything would tell nothing.
    let most = checks.map { $0.range.upperBound / $0.recorded }.sorted()
    #expect(most[most.count / 2] < 4)
    for check in checks { #expect(check.holds, "\(check)") }
  }
}
