package import ForeignStage2
internal import KVMTypes

/// What a patch changes: two trees' own C under the same recordings.
public struct PatchReport: Encodable, Sendable {
  /// The version of this layout.
  public var schemaVersion = 1
  /// The program.
  public var tool = "pkvm-replay"
  /// The first side.
  public var before: Side
  /// The second side.
  public var after: Side
  /// same, differs, or unknown where no recording leads to any call that could differ, or tells what is mapped.
  public var verdict: Verdict
  /// Functions of which nothing was compared: no recording led to a call of them, or only VMs were to be called so that were lost.
  public var uncalled: [String]
  /// Of which events the figures are where some are missing, which recordings tell nothing, which functions nothing is told of, and where
  /// the sides have left the course: a sentence each.
  public var notes: [String]
  /// What came of each recording.
  public var recordings: [PatchRecording]
  /// Figures of all recordings together, by name, as `compare` has them.
  public var metrics: [String: ComparisonReport.Entry]
  /// Warnings of either side, by what they warn of.
  public var warnings: [Warning]
  /// The thresholds that are exceeded.
  public var exceeded: [String]

  /// The figures side by side.
  public let comparison: Comparison

  private enum CodingKeys: String, CodingKey {
    case schemaVersion, tool, before, after, verdict, uncalled, recordings, metrics, warnings, exceeded, notes
  }

  /// Whether a patch changes anything.
  public enum Verdict: String, Encodable, Sendable {
    /// Every call that was compared is alike, and no VM was lost.
    case same
    case differs
    /// Nothing was compared, or nothing but calls on tables of which nothing tells what they map.
    case unknown
  }

  /// One side.
  public struct Side: Encodable, Sendable {
    /// What it calls itself.
    public var name: String
    /// The shared object; nil of a model.
    public var path: String?
    /// What of it is not the kernel's own C.
    public var restated: [String]
    /// What came of random calls on it and on the model; nil where none were made.
    public var selfTest: String?

    package init(_ findings: SideFindings, selfTest: String?) {
      name = findings.name
      path = findings.path
      restated = findings.restated
      self.selfTest = selfTest
    }
  }

  /// A warning of the kernel.
  public struct Warning: Encodable, Sendable {
    /// File and condition; with the line where both sides have the same.
    public var text: String
    /// How often at the first side.
    public var before: UInt64
    /// How often at the second side.
    public var after: UInt64
  }

  /// The report of recordings that were replayed, one at least.
  ///
  /// - Parameters:
  ///   - findings: of each, both sides, and how the calls are known that they got.
  ///   - recordings: the same for a reader.
  ///   - notes: of which events the figures of the recordings are.
  package init(
    _ findings: [(sides: PatchFindings, certainty: CallCertainty)], _ recordings: [PatchRecording],
    selfTests: [String?], notes: [String]
  ) {
    self.recordings = recordings
    let sides = findings[0].sides.sides
    before = Side(sides[0], selfTest: selfTests[0])
    after = Side(sides[1], selfTest: selfTests[1])
    let areModels = sides.map { $0.path == nil }
    let certainty = CallCertainty(findings.map(\.certainty))
    let metrics = (0..<2).map { side in
      PatchMetrics.metrics(
        findings.map { $0.sides.sides[side].totals }, certainty, isModel: areModels[side])
    }
    let compared = (0..<2).map { side in
      let name = sides[side].name
      let described = Comparison.Described("\(side == 0 ? "before" : "after"), \(name)", [])
      let untold = PatchMetrics.untold(
        metrics[side], others: metrics[1 - side], isModel: areModels[side])
      return Comparison.Side(name, [metrics[side] + untold], of: [described])
    }
    comparison = Comparison(.kernels, compared[0], compared[1])
    self.metrics = ComparisonReport(comparison, exceeded: []).metrics
    warnings = PatchMetrics.warnings(findings.map(\.sides))
    exceeded = []
    let isSame = recordings.allSatisfy { $0.differing == 0 && $0.lost.isEmpty }
    let untold = zip(findings, recordings).compactMap { found, recording -> String? in
      guard recording.lost.isEmpty else { return nil }
      if found.sides.sides.allSatisfy({ $0.totals.operationCalls == 0 }) {
        return "\(recording.path): it leads to no call of a stage-2 function, and tells nothing of the patch."
      }
      return found.certainty.tellsTables
        ? nil : "\(recording.path): nothing tells what is mapped, so that it tells nothing of the patch."
    }
    uncalled = SideTotals.operations.filter { function in
      findings.allSatisfy { $0.sides.sides[0].totals.results[Int(function.rawValue)].calls == 0 }
    }.map(\.name)
    verdict = !isSame ? .differs : untold.count == recordings.count ? .unknown : .same
    self.notes =
      notes + untold + recordings.compactMap(\.courseNote)
    if verdict != .unknown, !uncalled.isEmpty {
      self.notes.append(
        "No call of \(uncalled.joined(separator: ", ")) was compared: what differs there is not known."
      )
    }
  }
}
