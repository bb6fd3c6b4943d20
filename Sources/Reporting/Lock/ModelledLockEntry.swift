internal import CostFit
public import KVMTypes
public import Stage2Model
public import Stage2Replay

extension ReplayReport {
  /// Time under a VM's lock as a cost model prices the operations. Every figure is `modelled`.
  public struct ModelledLockEntry: Encodable, Sendable {
    /// The name of the costs.
    public var costs: String
    /// Time held to read.
    public var readHeldNs: UInt64
    /// Time held to write.
    public var writeHeldNs: UInt64
    /// By the function that runs.
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
  init(_ vm: VMResult, _ profile: Profile, _ model: CostModel) {
    costs = model.name
    basis = .modelled
    readHeldNs = 0
    writeHeldNs = 0
    byOperation = [:]
    for (kind, counts) in vm.operations {
      let work = vm.work[kind] ?? Stage2Work()
      let constant = model.constant(of: kind.name).rawValue.multipliedSaturated(by: UInt64(counts.count))
      let total = constant.addingSaturated(model.time(of: work).rawValue)
      let mode = kind.lockMode(profile, isProtected: vm.isProtected)
      if mode == .read { readHeldNs = readHeldNs.addingSaturated(total) }
      if mode == .write { writeHeldNs = writeHeldNs.addingSaturated(total) }
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
    page.line("  " + ModelledLockEntry.errorNote)
  }
}

extension ReplayReport.ModelledLockEntry {
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
