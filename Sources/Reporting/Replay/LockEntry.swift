internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

extension ReplayReport {
  /// The time under a VM's `mmu_lock`, by mode. Holds are lower bounds: from the entry of a stage-2 function to its return.
  public struct LockEntry: Encodable, Sendable {
    var read: LockModeEntry?
    var write: LockModeEntry?
    /// The share of the time from the first to the last event in which it was held to write.
    var utilisation: Double?
    var basis: String
    var byOperation: [String: OperationHoldEntry]
    /// The longest holds, and the longest waits, each with what is known of its circumstances.
    var longestHolds: [LongHoldEntry]
    var longestWaits: [LongWaitEntry]
    var series: [LockSeriesEntry]?
  }

  /// One mode of the lock. What was not recorded is left out.
  public struct LockModeEntry: Encodable, Sendable {
    var acquisitions: Int?
    var heldNs: UInt64?
    var heldMeanNs: UInt64?
    var heldMaxNs: UInt64?
    var heldP50Ns: UInt64?
    var heldP90Ns: UInt64?
    var heldP99Ns: UInt64?
    var heldP999Ns: UInt64?
    var waits: Int?
    var waitNs: UInt64?
    var waitMeanNs: UInt64?
    var waitMaxNs: UInt64?
    var waitP50Ns: UInt64?
    var waitP90Ns: UInt64?
    var waitP99Ns: UInt64?
    var waitP999Ns: UInt64?
  }

  /// The calls of one stage-2 function under the lock.
  public struct OperationHoldEntry: Encodable, Sendable {
    /// How the recorded host held the lock, whatever kernel was modelled, and how that is known.
    var mode: String
    var modeBasis: String
    var count: Int
    var totalNs: UInt64
    var meanNs: UInt64
    var p50Ns: UInt64
    var p90Ns: UInt64
    var p99Ns: UInt64
    var p999Ns: UInt64
    var maxNs: UInt64
  }

  /// One interval, summed over threads.
  public struct LockSeriesEntry: Encodable, Sendable {
    var timeNs: UInt64
    var readHeldNs: UInt64
    var writeHeldNs: UInt64
    var readWaitNs: UInt64
    var writeWaitNs: UInt64
  }
}

extension ReplayReport.LockEntry {
  init(_ lock: LockResult, _ grid: TimeGrid, spanNs: UInt64) {
    read = .init(held: lock.readHold, waited: lock.readWait)
    write = .init(held: lock.writeHold, waited: lock.writeWait)
    utilisation = lock.writeHold.flatMap {
      spanNs > 0 ? Double($0.total.rawValue) / Double(spanNs) : nil
    }
    basis = Basis.recorded.name
    byOperation = Dictionary(
      uniqueKeysWithValues: lock.byOperation.map { ($0.reportName, ReplayReport.OperationHoldEntry($1)) })
    longestHolds = lock.longestHolds.map { ReplayReport.LongHoldEntry($0) }
    longestWaits = lock.longestWaits.map { ReplayReport.LongWaitEntry($0) }
    series = lock.series.sorted { $0.key < $1.key }.map { index, sample in
      ReplayReport.LockSeriesEntry(
        timeNs: grid.start(of: index).rawValue, readHeldNs: sample.readHeld, writeHeldNs: sample.writeHeld,
        readWaitNs: sample.readWaited, writeWaitNs: sample.writeWaited)
    }
  }
}

extension ReplayReport.LockModeEntry {
  init?(held: DurationSummary?, waited: DurationSummary?) {
    if held == nil, waited == nil { return nil }
    acquisitions = held?.count
    heldNs = held?.total.rawValue
    heldMeanNs = held?.mean.rawValue
    heldMaxNs = held?.longest.rawValue
    heldP50Ns = held?.p50.rawValue
    heldP90Ns = held?.p90.rawValue
    heldP99Ns = held?.p99.rawValue
    heldP999Ns = held?.p999.rawValue
    waits = waited?.count
    waitNs = waited?.total.rawValue
    waitMeanNs = waited?.mean.rawValue
    waitMaxNs = waited?.longest.rawValue
    waitP50Ns = waited?.p50.rawValue
    waitP90Ns = waited?.p90.rawValue
    waitP99Ns = waited?.p99.rawValue
    waitP999Ns = waited?.p999.rawValue
  }
}

extension ReplayReport.OperationHoldEntry {
  init(_ operation: OperationHold) {
    mode = operation.mode.name
    modeBasis = operation.modeBasis.name
    count = operation.hold.count
    totalNs = operation.hold.total.rawValue
    meanNs = operation.hold.mean.rawValue
    p50Ns = operation.hold.p50.rawValue
    p90Ns = operation.hold.p90.rawValue
    p99Ns = operation.hold.p99.rawValue
    p999Ns = operation.hold.p999.rawValue
    maxNs = operation.hold.longest.rawValue
  }
}
