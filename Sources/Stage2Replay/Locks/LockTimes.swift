public import KVMTypes
public import Stage2Model

/// What a trace recorded of the time under one VM's `mmu_lock`.
///
/// A hold is the time between a probe on the entry of a stage-2 function and that on its return: what runs under the
/// lock besides, and taking and dropping it, is not in it, so it is a lower bound. A wait is the time between
/// contention_begin and contention_end on the lock; who gets it at once leaves no event.
struct LockTimes {
  /// By operation, and by mode.
  private var byOperation: [DurationStatistics?] = Array(repeating: nil, count: OperationKind.allCases.count)
  private var holds: [DurationStatistics?] = [nil, nil]
  private var waits: [DurationStatistics?] = [nil, nil]
  /// By interval of the grid.
  private var series: [Int: LockSample] = [:]
  private var longestHolds: LongestTimes<LongHold>
  private var longestWaits: LongestTimes<LongWait>

  /// Nothing yet; `longest` of the longest holds and waits are kept.
  init(longest: Int) {
    longestHolds = LongestTimes(most: longest)
    longestWaits = LongestTimes(most: longest)
  }

  private static func index(_ mode: LockMode) -> Int { mode == .write ? 1 : 0 }

  /// A stage-2 function ran under the lock.
  mutating func hold(_ hold: LongHold, interval: Int) {
    let (mode, duration) = (hold.mode, hold.duration.rawValue)
    longestHolds.add(hold)
    byOperation[Int(hold.operation.kind.rawValue), orAdd: DurationStatistics()].add(duration)
    holds[Self.index(mode), orAdd: DurationStatistics()].add(duration)
    if mode == .write {
      series[interval, default: LockSample()].writeHeld += duration
    } else {
      series[interval, default: LockSample()].readHeld += duration
    }
  }

  /// A thread waited for the lock.
  mutating func wait(_ mode: LockMode, _ duration: UInt64, interval: Int) {
    waits[Self.index(mode), orAdd: DurationStatistics()].add(duration)
    if mode == .write {
      series[interval, default: LockSample()].writeWaited += duration
    } else {
      series[interval, default: LockSample()].readWaited += duration
    }
  }

  /// Adds what was recorded of another VM's lock; not the series nor the longest ones, which are a VM's own.
  mutating func merge(_ other: LockTimes) {
    func add(_ from: [DurationStatistics?], to: inout [DurationStatistics?]) {
      for (index, statistics) in from.enumerated() {
        if let statistics { to[index, orAdd: DurationStatistics()].merge(statistics) }
      }
    }
    add(other.byOperation, to: &byOperation)
    add(other.holds, to: &holds)
    add(other.waits, to: &waits)
  }

  /// Whether a wait is among the longest so far.
  func keeps(wait duration: UInt64) -> Bool { longestWaits.keeps(duration) }

  /// A wait that may be among the longest, now that it is known what it was for.
  mutating func add(_ wait: LongWait) { longestWaits.add(wait) }

  /// What the report says, nil where nothing was recorded.
  func result(_ modes: RecordedLockModes) -> LockResult? {
    guard holds.contains(where: { $0 != nil }) || waits.contains(where: { $0 != nil }) else { return nil }
    let operations = OperationKind.allCases.compactMap { kind in
      byOperation[Int(kind.rawValue)].map {
        (kind, OperationHold(mode: modes.mode(of: kind), modeBasis: modes.basis(of: kind), hold: $0.summary))
      }
    }
    return LockResult(
      readHold: holds[0]?.summary, writeHold: holds[1]?.summary, readWait: waits[0]?.summary,
      writeWait: waits[1]?.summary, byOperation: Dictionary(uniqueKeysWithValues: operations), series: series,
      longestHolds: longestHolds.entries, longestWaits: longestWaits.entries)
  }
}

extension Array {
  /// The element at `index`, put in first where there is none.
  fileprivate subscript<Wrapped>(index: Int, orAdd new: @autoclosure () -> Wrapped) -> Wrapped
  where Element == Wrapped? {
    get { self[index] ?? new() }
    _modify {
      if self[index] == nil { self[index] = new() }
      yield &self[index]!
    }
  }
}

/// The lock in one interval, in nanoseconds summed over all threads.
public struct LockSample: Hashable, Sendable {
  /// Time that readers and writers held it.
  public var readHeld: UInt64 = 0
  /// Time that writers held it.
  public var writeHeld: UInt64 = 0
  /// Time that they waited for it.
  public var readWaited: UInt64 = 0
  /// Time that writers waited for it.
  public var writeWaited: UInt64 = 0
}

/// What a trace recorded of the time under one VM's `mmu_lock`: lower bounds of holds, and all waits.
public struct LockResult: Sendable {
  /// Holds, where probes recorded any.
  public var readHold: DurationSummary?
  /// Holds to write.
  public var writeHold: DurationSummary?
  /// Waits, where any were recorded.
  public var readWait: DurationSummary?
  /// Waits to write.
  public var writeWait: DurationSummary?
  /// Holds by the function that ran.
  public var byOperation: [OperationKind: OperationHold]
  /// By the number of the interval.
  public var series: [Int: LockSample]
  /// The longest holds, the longest first.
  public var longestHolds: [LongHold]
  /// The longest waits, the longest first.
  public var longestWaits: [LongWait]
}

/// One recorded section under the lock.
public struct RecordedSection: Hashable, Sendable {
  /// The function that ran.
  public var kind: OperationKind
  /// When its thread asked for the lock, as far as a wait shows; else when the function was entered.
  public var request: Nanoseconds
  /// When the function was entered, and when it returned.
  public var start: Nanoseconds
  /// When it returned.
  public var end: Nanoseconds
}

/// The time that one stage-2 function ran under the lock.
public struct OperationHold: Sendable {
  /// How the lock was held.
  public var mode: LockMode
  /// How that is known.
  public var modeBasis: Basis
  /// From entry to return.
  public var hold: DurationSummary
}

extension OperationKind {
  /// How `mmu_lock` is held while the function runs: a fault's own by `kvm_fault_lock`, a notifier's, the dirty log's
  /// and a protected guest's to write.
  public func lockMode(_ profile: Profile, isProtected: Bool) -> LockMode {
    switch self {
    case .map where isProtected, .relaxPerms where isProtected: .write
    case .map, .relaxPerms: MMUEntryPoint.userMemAbort.lock(profile)
    case .mkyoung: .read
    case .unmap: MMUEntryPoint.invalidateRangeStart.lock(profile)
    case .testClearYoung: MMUEntryPoint.age.lock(profile)
    case .wrprotect: MMUEntryPoint.wpMemoryRegion.lock(profile)
    case .flush: MMUEntryPoint.flushVM.lock(profile)
    case .split: MMUEntryPoint.splitHugePages.lock(profile)
    }
  }
}
