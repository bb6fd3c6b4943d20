package import KVMTypes
internal import Stage2Model
internal import Stage2Replay

/// A figure with how it is known, nil where it is not.
package struct StatedFigure: Hashable, Sendable {
  /// What it is.
  package let name: String
  /// It, in words.
  package let value: String
  /// How it is known.
  package let basis: Basis?

  init(_ name: String, _ value: String, _ basis: Basis?) {
    (self.name, self.value, self.basis) = (name, value, basis)
  }

  /// What nothing tells.
  fileprivate static func unknown(_ name: String) -> Self { Self(name, "unknown", nil) }
}

extension ReplayReport {
  /// The main figures, those of all VMs together. Nothing is 0 here for want of events that would tell.
  package var summary: [StatedFigure] {
    [vmCount, faultCount] + operationCounts + [hypercallCount].compactMap(\.self) + [
      unexplained,
      divergences.figure("explained divergences", divergences.explained),
      divergences.figure("divergences where the state was not known", divergences.unknown),
    ]
  }

  /// How many of the recordings do not tell of VMs, should there be any: a VM faults, and a fault is of one.
  private var silentRecordings: Int {
    guard let replays else { return vms.isEmpty && unattributedFaults != 0 ? 1 : 0 }
    return replays.count { replay in
      replay.unattributedFaults != 0 && !vms.contains { $0.input == replay.input }
    }
  }

  /// Whether any recording tells of VMs, should there be any.
  private var tellsVMs: Bool { silentRecordings < inputs.count }

  /// Whether every recording does.
  var tellsAllVMs: Bool { silentRecordings == 0 }

  /// How many there are.
  package var vmCount: StatedFigure {
    guard tellsVMs else { return .unknown("VMs") }
    let isSure = Certainty.areVMsSure(of: vms.map { $0.slots.map(\.basis) })
    return StatedFigure("VMs", Quantity.count(vms.count) + unknownRest(), isSure ? .derived : .assumed)
  }

  /// Of all VMs; those of no VM are told by themselves.
  package var faultCount: StatedFigure {
    let known = vms.compactMap(\.faults)
    guard tellsVMs, !known.isEmpty || vms.isEmpty else { return .unknown("faults") }
    return StatedFigure(
      "faults", Quantity.count(known.reduce(0) { $0 + $1.total }) + unknownRest(vms.count - known.count),
      vms.compactMap(\.faultsBasis).max() ?? .recorded)
  }

  /// The faults of all VMs by kind, in words.
  var faultWords: String {
    let known = vms.compactMap(\.faults)
    guard tellsVMs, !known.isEmpty || vms.isEmpty else { return "unknown" }
    return FaultsEntry.sum(known).words + unknownRest(vms.count - known.count)
  }

  /// ", and those of 2 VMs are unknown", and of recordings that do not tell of any; nothing where those of all are known.
  func unknownRest(_ vms: Int = 0) -> String {
    let parts = [(vms, "VM"), (silentRecordings, "recording")].filter { $0.0 > 0 }.map {
      Quantity.count($0, $1)
    }
    return parts.isEmpty ? "" : ", and those of \(parts.joined(separator: " and ")) are unknown"
  }

  /// Events that contradict the model, with nothing to account for them.
  package var unexplained: StatedFigure {
    divergences.figure("unexplained divergences", divergences.unexplained)
  }

  /// By how they are known.
  private var operationCounts: [StatedFigure] {
    let operations = vms.flatMap(\.operations.values)
    let areKnown = tellsVMs && (vms.isEmpty || vms.contains { $0.memory.basis != nil })
    let rest = vms.contains { $0.faults == nil } ? ", without those of faults" : ""
    return [Basis.derived, .assumed].map { basis in
      let name = "operations, \(basis.name)"
      let count = operations.reduce(0) { $0 + ($1.basis[basis] ?? 0) }
      return count > 0 || areKnown ? StatedFigure(name, Quantity.count(count) + rest, basis) : .unknown(name)
    }
  }

  /// Nil where no VM makes any, as by the traditional path.
  private var hypercallCount: StatedFigure? {
    guard isPKVM, !vms.isEmpty else { return nil }
    let known = vms.compactMap(\.hypercallsTotal)
    guard !known.isEmpty else { return .unknown("hypercalls") }
    return StatedFigure(
      "hypercalls", Quantity.count(known.reduce(0, +)) + unknownRest(vms.count - known.count),
      vms.compactMap(\.hypercallsBasis).max())
  }

  /// What a reader has to know of the figures, a sentence each, besides what is missing.
  package var caveats: [String] {
    [accessFlagCaveat, releaseCaveat, backend?.statement].compactMap(\.self)
      + (backend?.stopStatements(unit).map { "stopped: \($0)" } ?? [])
      + (backend?.warningStatements.map { "warning: \($0)" } ?? [])
  }

  /// What is not known of a part that does not begin with the trace, and what follows.
  static let windowCaveat =
    "what the VMs had before this window, so that mappings, tables, memory and hypercalls are of what it shows"

  /// Where the access flag is an assumption that takes rules away.
  var accessFlagCaveat: String? {
    guard profileBasis[.hardwareAF] == .assumed, profile[.hardwareAF] == .bool(true) else { return nil }
    return
      "no access flag fault was seen, so the CPU is taken to set access flags itself: D6 and D10 are not checked; a file "
      + "with \"hardwareAF\": false for --profile states otherwise"
  }

  /// Where nothing is known of the release.
  var releaseCaveat: String? {
    unlistedRelease.map {
      "\($0) is not known: modelled as \(profile[.era]?.description ?? "unknown") (\((profileBasis[.era] ?? .assumed).name))"
    }
  }
}

extension ReplayReport.VMEntry {
  /// How it is known what its stage 2 has at the end: of a VM that is gone that this is nothing, as its end is.
  package var liveBasis: Basis? { memory.basis == nil || endedNs == nil ? memory.basis : endBasis }

  /// How many hypercalls its operations took.
  package var hypercallWords: String {
    hypercallsTotal.map { Quantity.count($0) } ?? "unknown in all, as the calls for notifiers are"
  }

  /// How many vCPUs it has, which faults tell.
  package var vcpuCount: String { faults != nil || !vcpus.isEmpty ? Quantity.count(vcpus.count) : "unknown" }
}

extension DivergencesEntry {
  /// In words: what was found, or why nothing could be.
  package var statement: String { words.text }

  /// One of the counts: a 0 for want of what would be held against the model is unknown.
  package func figure(_ name: String, _ count: Int) -> StatedFigure {
    guard let uncheckedWhy, count == 0 else { return StatedFigure(name, Quantity.count(count), .derived) }
    return StatedFigure(name, "unknown: \(uncheckedWhy)", nil)
  }
}
