internal import CostFit
internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

extension ReplayReport {
  /// Time under a VM's lock as a cost model prices the operations. Every figure is `modelled`.
  public struct ModelledLockEntry: Encodable, Sendable {
    var costs: String
    var readHeldNs: UInt64
    var writeHeldNs: UInt64
    var byOperation: [String: ModelledOperationEntry]
    var basis: String
  }

  /// The calls of one stage-2 function.
  public struct ModelledOperationEntry: Encodable, Sendable {
    var mode: String
    var count: Int
    var totalNs: UInt64
    /// The error of the model's total for this operation on later durations that it was not fitted to, nil if nobody
    /// checked.
    var error: Double?
    /// What chance makes of it.
    var standardError: Double?
    /// The error on durations that lie among those fitted to.
    var interleavedError: Double?
  }
}

extension ReplayReport.ModelledLockEntry {
  init(_ vm: VMResult, _ profile: Profile, _ model: CostModel) {
    costs = model.name
    basis = Basis.modelled.name
    readHeldNs = 0
    writeHeldNs = 0
    byOperation = [:]
    for (kind, counts) in vm.operations {
      let work = vm.work[kind] ?? Stage2Work()
      let constant = model.constant(of: kind.name).rawValue.multipliedReportingOverflow(
        by: UInt64(counts.count))
      let total = constant.partialValue &+ model.time(of: work).rawValue
      let mode = kind.lockMode(profile, isProtected: vm.isProtected)
      if mode == .read { readHeldNs += total } else if mode == .write { writeHeldNs += total }
      let quality = model.quality?.operations[kind.name]
      byOperation[kind.reportName] = ReplayReport.ModelledOperationEntry(
        mode: mode.name, count: counts.count, totalNs: total, error: quality?.relativeError,
        standardError: quality?.standardError,
        interleavedError: model.interleavedQuality?.operations[kind.name]?.relativeError)
    }
  }
}

extension LockMode {
  /// The word in reports.
  var name: String {
    switch self {
    case .none: "none"
    case .read: "read"
    case .write: "write"
    }
  }
}

extension ReplayReport {
  /// The modelled times, each with the error of its model.
  func write(_ lock: ModelledLockEntry, _ page: inout TextPage) {
    page.blank()
    page.line("time under mmu_lock as the costs \(lock.costs) have it (modelled)")
    page.table(
      header: ["", "mode", "count", "total", "mean", "error", "", "interleaved"],
      alignRight: [false, false, true, true, true, true, false, true],
      rows: lock.byOperation.sorted { ($1.value.totalNs, $0.key) < ($0.value.totalNs, $1.key) }.map {
        name, entry in
        [
          "in \(Self.kernelName(name))", entry.mode, Quantity.count(entry.count),
          Quantity.duration(entry.totalNs),
          Quantity.duration(entry.totalNs / UInt64(max(entry.count, 1))),
          entry.error.map { Quantity.signedPercent($0) } ?? "unknown",
          Calibration.chance(entry.standardError),
          entry.interleavedError.map { Quantity.signedPercent($0) } ?? "unknown",
        ]
      })
  }
}
