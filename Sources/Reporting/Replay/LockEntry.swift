public import KVMTypes
public import Stage2Model
public import Stage2Replay

extension ReplayReport {
  /// The time under a VM's `mmu_lock`, by mode. Holds are lower bounds: from the entry of a stage-2 function to its return.
  public struct LockEntry: Encodable, Sendable {
    /// Held to read, and waited for to read; nil where nothing was recorded of that.
    public var read: LockModeEntry?
    /// Held to write, and waited for to write.
    public var write: LockModeEntry?
    /// The share of the time from the first to the last event in which it was held to write.
    public var utilisation: Double?
    /// The time from the VM's appearance to its end, as far as the trace has it.
    public var lifeNs: UInt64
    /// The share of that time in which it was held to write.
    public var lifeUtilisation: Double?
    /// How the figures are known.
    public var basis: Basis
    /// Holds by the function that ran.
    public var byOperation: [OperationKind: OperationHoldEntry]
    /// The functions that ran or, where nothing would tell, may have, and whose time under the lock was not recorded, which is in none of
    /// the figures; nil where there are none.
    public var untimed: [OperationKind: UntimedEntry]?
    /// The longest holds, the longest first, each with what is known of its circumstances.
    public var longestHolds: [LongHoldEntry]
    /// The longest waits likewise.
    public var longestWaits: [LongWaitEntry]
    /// The times over time.
    public var series: [LockSeriesEntry]?
  }

  /// One mode of the lock. What was not recorded is left out.
  public struct LockModeEntry: Encodable, Sendable {
    /// How often it was held.
    public var acquisitions: Int?
    /// The holds, summed.
    public var heldNs: UInt64?
    /// Their mean.
    public var heldMeanNs: UInt64?
    /// The longest.
    public var heldMaxNs: UInt64?
    /// What 50 percent of them do not exceed.
    public var heldP50Ns: UInt64?
    /// What 90 percent of them do not exceed.
    public var heldP90Ns: UInt64?
    /// What 99 percent of them do not exceed.
    public var heldP99Ns: UInt64?
    /// What 99.9 percent of them do not exceed.
    public var heldP999Ns: UInt64?
    /// How often it was waited for.
    public var waits: Int?
    /// The waits, summed.
    public var waitNs: UInt64?
    /// Their mean.
    public var waitMeanNs: UInt64?
    /// The longest.
    public var waitMaxNs: UInt64?
    /// What 50 percent of them do not exceed.
    public var waitP50Ns: UInt64?
    /// What 90 percent of them do not exceed.
    public var waitP90Ns: UInt64?
    /// What 99 percent of them do not exceed.
    public var waitP99Ns: UInt64?
    /// What 99.9 percent of them do not exceed.
    public var waitP999Ns: UInt64?
  }

  /// The calls of one stage-2 function under the lock.
  public struct OperationHoldEntry: Encodable, Sendable {
    /// How the recorded host held the lock, whatever kernel was modelled.
    public var mode: LockMode
    /// How that is known.
    public var modeBasis: Basis
    /// How many calls there were.
    public var count: Int
    /// Their times, summed.
    public var totalNs: UInt64
    /// The mean.
    public var meanNs: UInt64
    /// What 50 percent of them do not exceed.
    public var p50Ns: UInt64
    /// What 90 percent of them do not exceed.
    public var p90Ns: UInt64
    /// What 99 percent of them do not exceed.
    public var p99Ns: UInt64
    /// What 99.9 percent of them do not exceed.
    public var p999Ns: UInt64
    /// The longest.
    public var maxNs: UInt64
  }

  /// Calls of one stage-2 function whose time under the lock was not recorded.
  public struct UntimedEntry: Encodable, Sendable {
    /// How the recorded host held the lock.
    public var mode: LockMode
    /// How that is known.
    public var modeBasis: Basis
    /// How many calls probes told of, nil where none is on the function.
    public var count: Int?
  }

  /// One interval, summed over threads: of a hold or a wait that goes on for longer, the part that lies in it. What was not recorded is
  /// left out.
  public struct LockSeriesEntry: Encodable, Sendable {
    /// The beginning of the interval.
    public var timeNs: UInt64
    /// Time held to read.
    public var readHeldNs: UInt64?
    /// Time held to write.
    public var writeHeldNs: UInt64?
    /// Time waited to read.
    public var readWaitNs: UInt64?
    /// Time waited to write.
    public var writeWaitNs: UInt64?
  }
}

extension ReplayReport.LockEntry {
  init(_ lock: LockResult, _ grid: TimeGrid, spanNs: UInt64, lifeNs: UInt64) {
    read = .init(held: lock.readHold, waited: lock.readWait)
    write = .init(held: lock.writeHold, waited: lock.writeWait)
    utilisation = lock.writeHold?.share(ofNs: spanNs)
    self.lifeNs = lifeNs
    lifeUtilisation = lock.writeHold?.share(ofNs: lifeNs)
    basis = .recorded
    byOperation = lock.byOperation.mapValues { ReplayReport.OperationHoldEntry($0) }
    untimed =
      lock.untimed.isEmpty
      ? nil
      : lock.untimed.mapValues {
        ReplayReport.UntimedEntry(mode: $0.mode, modeBasis: $0.modeBasis, count: $0.count)
      }
    longestHolds = lock.longestHolds.map { ReplayReport.LongHoldEntry($0) }
    longestWaits = lock.longestWaits.map { ReplayReport.LongWaitEntry($0) }
    series = lock.series.sorted { $0.key < $1.key }.map { index, sample in
      ReplayReport.LockSeriesEntry(sample, of: lock, at: grid.start(of: index))
    }
  }
}

extension ReplayReport.LockEntry {
  /// "not recorded, and in no figure: what unmap took"; nil where nothing is missing that could be told.
  package var untold: String? {
    let names = (untimed ?? [:]).filter { $0.value.count == nil }.map(\.key.name).sorted()
    return names.isEmpty ? nil : "not recorded, and in no figure: what \(names.joined(separator: ", ")) took"
  }
}

extension ReplayReport.LockSeriesEntry {
  /// What `lock` tells of one interval: where it tells nothing of holds or waits, 0 would be wrong.
  init(_ sample: LockSample, of lock: LockResult, at time: Nanoseconds) {
    timeNs = time.rawValue
    readHeldNs = Self.held(.read, sample.readHeld, lock)
    writeHeldNs = Self.held(.write, sample.writeHeld, lock)
    readWaitNs = lock.tellsWaits ? sample.readWaited : nil
    writeWaitNs = lock.tellsWaits ? sample.writeWaited : nil
  }

  /// A function that was not timed may have held the lock where no other did.
  private static func held(_ mode: LockMode, _ time: UInt64, _ lock: LockResult) -> UInt64? {
    lock.tellsHolds(mode) && (time > 0 || lock.missing(mode).isEmpty) ? time : nil
  }
}

extension DurationSummary {
  /// The share of a span that all of them make up, nil where the span is nothing.
  func share(ofNs spanNs: UInt64) -> Double? {
    spanNs > 0 ? Double(total.rawValue) / Double(spanNs) : nil
  }
}

extension VMResult {
  /// The time from the VM's appearance to its end, as far as it lies in a span: all of one in which it was there before and
  /// has not ended.
  func lifeNs(in span: Range<UInt64>) -> UInt64 {
    let first = beganBefore ? span.lowerBound : max(since.rawValue, span.lowerBound)
    let last = min(end?.time.rawValue ?? span.upperBound, span.upperBound)
    return last > first ? last - first : 0
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
    mode = operation.mode
    modeBasis = operation.modeBasis
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
