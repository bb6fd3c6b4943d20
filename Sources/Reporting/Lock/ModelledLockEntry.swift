internal import CostFit
public import KVMTypes
public import Stage2Model
public import Stage2Replay

extension ReplayReport {
  /// Time under a VM's lock as a cost model prices the operations. Every figure is `modelled`.
  public struct ModelledLockEntry: Encodable, Sendable {
    /// The name of the costs.
    public var costs: String
    /// Time held to read; nil where the trace does not tell of all calls that hold it so.
    public var readHeldNs: UInt64?
    /// Time held to write, likewise.
    public var writeHeldNs: UInt64?
    /// By the function that runs, for those of which the trace tells all calls.
    public var byOperation: [OperationKind: ModelledOperationEntry]
    /// How the figures are known.
    public var basis: Basis
  }

  /// The calls of one stage-2 function.
  public struct ModelledOperationEntry: Encodable, Sendable {
    /// How the lock is held.
    public var mode: LockMode
    /// How many calls there are.
    public var count: Int
    /// Their times, summed.
    public var totalNs: UInt64
    /// The error of the model's total for this operation on later durations that it was not fitted to, nil if nobody
    /// checked.
    public var error: Double?
    /// What chance makes of it.
    public var standardError: Double?
    /// The error on durations that lie among those fitted to.
    public var interleavedError: Double?
  }
}

extension ReplayReport.ModelledLockEntry {
  /// Nil where nothing tells what is mapped, so that what a call does is not known.
  init?(_ vm: VMResult, _ result: ReplayResult, _ model: CostModel) {
    let certainty = Certainty(result, of: vm)
    guard certainty.tellsTables else { return nil }
    let profile = result.profile.profile
    costs = model.name
    basis = .modelled
    (readHeldNs, writeHeldNs) = (0, 0)
    byOperation = [:]
    for kind in OperationKind.allCases {
      let mode = kind.lockMode(profile, isProtected: vm.isProtected)
      guard certainty.tells(kind) else {
        if mode == .read { readHeldNs = nil }
        if mode == .write { writeHeldNs = nil }
        continue
      }
      guard let counts = vm.operations[kind] else { continue }
      let work = vm.work[kind] ?? Stage2Work()
      let constant = model.constant(of: kind.name).rawValue.multipliedSaturated(by: UInt64(counts.count))
      let total = constant.addingSaturated(model.time(of: work).rawValue)
      if mode == .read { readHeldNs = readHeldNs?.addingSaturated(total) }
      if mode == .write { writeHeldNs = writeHeldNs?.addingSaturated(total) }
      let quality = model.quality?.operations[kind.name]
      byOperation[kind] = ReplayReport.ModelledOperationEntry(
        mode: mode, count: counts.count, totalNs: total, error: quality?.relativeError,
        standardError: quality?.standardError,
        interleavedError: model.interleavedQuality?.operations[kind.name]?.relativeError)
    }
  }
}

extension ReplayReport {
  /// The modelled times, each with the error of its model.
  func write(_ lock: ModelledLockEntry, _ page: inout TextPage) {
    page.blank()
    page.heading("time under mmu_lock as the costs \(lock.costs) have it (modelled)")
    page.table(
      header: ["", "mode", "count", "total", "mean", "error", "", "interleaved"],
      alignRight: [false, false, true, true, true, true, false, true],
      rows: lock.byOperation.sorted { ($1.value.totalNs, $0.key.word) < ($0.value.totalNs, $1.key.word) }.map
      {
        kind, entry in
        [
          "in \(kind.name)", entry.mode.word, Quantity.count(entry.count),
          Quantity.duration(entry.totalNs),
          Quantity.duration(entry.meanNs), entry.errorText, entry.chanceText, entry.interleavedErrorText,
        ]
      }, spare: [7, SpareColumns([6], called: "what chance makes of the error"), 4, 1, 2])
    if let untold = lock.untold { page.line("  " + untold) }
    page.line("  " + ModelledLockEntry.errorNote)
  }
}

extension ReplayReport.ModelledLockEntry {
  /// What is said where calls are missing; nil where none are.
  package var untold: String? {
    let modes = [("read", readHeldNs), ("write", writeHeldNs)].filter { $0.1 == nil }.map(\.0)
    return modes.isEmpty
      ? nil
      : "the time held to \(modes.joined(separator: " and to ")) is unknown: not all calls for notifiers are told"
  }

  /// What the errors are.
  package static let errorNote =
    "error: that of the costs on the total of later calls than they were fitted to, and what chance makes of it; "
    + "interleaved: their error on calls that lie among those fitted to"
}

extension ReplayReport.ModelledOperationEntry {
  /// What a call takes on average.
  package var meanNs: UInt64 { totalNs / UInt64(max(count, 1)) }

  /// The error, as far as anybody checked it.
  package var errorText: String { Self.text(error) }
  /// What chance makes of it; nothing where that is not known.
  package var chanceText: String { Calibration.chance(standardError) }
  /// The error on calls that lie among those fitted to.
  package var interleavedErrorText: String { Self.text(interleavedError) }

  private static func text(_ error: Double?) -> String {
    error.map { Quantity.signedPercent($0) } ?? "unknown"
  }
}
