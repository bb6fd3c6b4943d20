public import KVMTypes
public import Stage2Model

/// What a trace recorded of the time under one VM's `mmu_lock`.
///
/// A hold is the time between a probe on the entry of a stage-2 function and that on its return: what runs under the
/// lock besides, and taking and dropping it, is not in it, so it is a lower bound. A wait is the time between
/// contention_begin and contention_end on the lock; who gets it at once leaves no event.
struct LockTimes {
  /// By operation, and by mode.
  private var byOperation = Array(repeating: DurationStatistics(), count: OperationKind.allCases.count)
  /// By operation, the calls of which no event told the return.
  private var untimedCalls = Array(repeating: 0, count: OperationKind.allCases.count)
  private var holds = TimesByMode()
  private var waits = TimesByMode()
  private var series = LockSeries()
  private var longestHolds: LongestTimes<RecordedHold>
  private var longestWaits: LongestTimes<RecordedWait>

  /// Nothing yet; `longest` of the longest holds and waits are kept.
  init(longest: Int) {
    longestHolds = LongestTimes(most: longest)
    longestWaits = LongestTimes(most: longest)
  }

  /// A stage-2 function ran under the lock.
  mutating func hold(_ hold: RecordedHold, _ grid: TimeGrid) {
    let (mode, duration) = (hold.mode, hold.duration.rawValue)
    longestHolds.add(hold)
    byOperation[Int(hold.operation.kind.rawValue)].add(duration)
    holds[mode].add(duration)
    grid.cut(from: hold.time, hold.duration) { interval, part in
      series.add(interval) { sample in
        if mode == .write {
          sample.writeHeld = sample.writeHeld.addingSaturated(part)
        } else {
          sample.readHeld = sample.readHeld.addingSaturated(part)
        }
      }
    }
  }

  /// A stage-2 function ran under the lock, and no event told when it returned.
  mutating func untimed(_ kind: OperationKind) { untimedCalls[Int(kind.rawValue)] += 1 }

  /// A thread waited for the lock.
  mutating func wait(_ mode: LockMode, from begin: Nanoseconds, _ duration: UInt64, _ grid: TimeGrid) {
    waits[mode].add(duration)
    grid.cut(from: begin, Nanoseconds(duration)) { interval, part in
      series.add(interval) { sample in
        if mode == .write {
          sample.writeWaited = sample.writeWaited.addingSaturated(part)
        } else {
          sample.readWaited = sample.readWaited.addingSaturated(part)
        }
      }
    }
  }

  /// Adds what was recorded of another VM's lock; not the series nor the longest ones, which are a VM's own.
  mutating func merge(_ other: LockTimes) {
    for kind in byOperation.indices {
      byOperation[kind].merge(other.byOperation[kind])
      untimedCalls[kind] += other.untimedCalls[kind]
    }
    holds.merge(other.holds)
    waits.merge(other.waits)
  }

  /// Whether a wait is among the longest so far.
  func keeps(wait duration: UInt64) -> Bool { longestWaits.keeps(duration) }

  /// A wait that may be among the longest, now that it is known what it was for.
  mutating func add(_ wait: RecordedWait) { longestWaits.add(wait) }

  /// What the report says, nil where nothing was recorded.
  ///
  /// - Parameters:
  ///   - performed: the functions that ran or, where nothing would tell, may have, whether probes told of them or not.
  ///   - tellsWaits: whether waits leave events.
  func result(
    _ modes: RecordedLockModes, performed: Set<OperationKind>, tellsWaits: Bool
  ) -> LockResult? {
    guard !holds.isEmpty || !waits.isEmpty else { return nil }
    var operations: [OperationKind: OperationHold] = [:]
    var untimed: [OperationKind: UntimedCalls] = [:]
    for kind in OperationKind.allCases {
      let calls = untimedCalls[Int(kind.rawValue)]
      if let hold = byOperation[Int(kind.rawValue)].summary {
        operations[kind] = OperationHold(
          mode: modes.mode(of: kind), modeBasis: modes.basis(of: kind), hold: hold)
      } else if calls > 0 || performed.contains(kind) {
        untimed[kind] = UntimedCalls(
          mode: modes.mode(of: kind), modeBasis: modes.basis(of: kind), count: calls > 0 ? calls : nil)
      }
    }
    return LockResult(
      readHold: holds[.read].summary, writeHold: holds[.write].summary, readWait: waits[.read].summary,
      writeWait: waits[.write].summary, tellsWaits: tellsWaits || !waits.isEmpty, byOperation: operations,
      untimed: untimed, series: series.samples, longestHolds: longestHolds.entries,
      longestWaits: longestWaits.entries)
  }
}

/// Times of readers, and of writers.
private struct TimesByMode {
  private var read = DurationStatistics()
  private var write = DurationStatistics()

  subscript(mode: LockMode) -> DurationStatistics {
    @inline(__always) get { mode == .write ? write : read }
    @inline(__always) _modify {
      if mode == .write { yield &write } else { yield &read }
    }
  }

  var isEmpty: Bool { read.count == 0 && write.count == 0 }

  mutating func merge(_ other: TimesByMode) {
    read.merge(other.read)
    write.merge(other.write)
  }
}

/// A lock by intervals of the grid, each with what of holds and waits lies in it. Events come nearly in the order of time, so the
/// interval that is being added to is kept apart from the others.
private struct LockSeries {
  private var others: [Int: LockSample] = [:]
  private var interval = 0
  /// Nil before the first sample.
  private var sample: LockSample?

  @inline(__always)
  mutating func add(_ interval: Int, _ body: (inout LockSample) -> Void) {
    if interval != self.interval || sample == nil { turn(to: interval) }
    body(&sample!)
  }

  private mutating func turn(to interval: Int) {
    if let sample { others[self.interval] = sample }
    sample = others[interval] ?? LockSample()
    self.interval = interval
  }

  /// All of them, by the number of the interval.
  var samples: [Int: LockSample] {
    guard let sample else { return others }
    var all = others
    all[interval] = sample
    return all
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
  /// Whether waits for the lock leave events: if they do, there were none but those here.
  public var tellsWaits: Bool
  /// Holds by the function that ran.
  public var byOperation: [OperationKind: OperationHold]
  /// The functions that ran or, where nothing would tell, may have, and of whose time under the lock nothing was recorded: their holds are
  /// in no figure.
  public var untimed: [OperationKind: UntimedCalls]
  /// By the number of the interval.
  public var series: [Int: LockSample]
  /// The longest holds, the longest first.
  public var longestHolds: [RecordedHold]
  /// The longest waits, the longest first.
  public var longestWaits: [RecordedWait]

  /// Whether the holds of a mode are known at all: some were recorded, or no function ran that holds the lock so.
  public func tellsHolds(_ mode: LockMode) -> Bool {
    (mode == .write ? writeHold : readHold) != nil || !untimed.values.contains { $0.mode == mode }
  }

  /// The functions that hold the lock so and are in no figure of the mode, but for those that no probe can time.
  package func missing(_ mode: LockMode) -> Set<OperationKind> {
    Set(untimed.filter { $0.value.mode == mode && $0.key.canBeTimed }.keys)
  }
}

/// Calls of a stage-2 function whose time under the lock was not recorded.
public struct UntimedCalls: Hashable, Sendable {
  /// How the lock was held.
  public var mode: LockMode
  /// How that is known.
  public var modeBasis: Basis
  /// How many probes told of, nil where there are none on the function.
  public var count: Int?
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
  /// Whether probes can tell how long a call took: mkyoung returns nothing, and of the last two no probe is read.
  package var canBeTimed: Bool {
    switch self {
    case .map, .unmap, .wrprotect, .testClearYoung, .relaxPerms: true
    case .mkyoung, .flush, .split: false
    }
  }

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
