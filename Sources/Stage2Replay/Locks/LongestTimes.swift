public import KVMTypes
public import Stage2Model

/// The longest of any number of times, the longest first; of equal ones those that came first.
///
/// Memory is bounded by how many are kept. A time that is too short costs one comparison.
struct LongestTimes<Entry: Timed> {
  private let most: Int
  private(set) var entries: [Entry] = []

  /// Keeps `most` of them.
  init(most: Int) { self.most = max(most, 0) }

  @inline(__always)
  func keeps(_ duration: UInt64) -> Bool {
    entries.count < most || (entries.last.map { $0.duration.rawValue < duration } ?? false)
  }

  mutating func add(_ entry: Entry) {
    guard keeps(entry.duration.rawValue) else { return }
    if entries.count == most { entries.removeLast() }
    let place = entries.firstIndex { $0.duration < entry.duration } ?? entries.count
    entries.insert(entry, at: place)
  }
}

/// What took a time.
protocol Timed {
  /// How long.
  var duration: Nanoseconds { get }
}

/// One hold of a VM's `mmu_lock`, as probes recorded it: from the entry of a stage-2 function to its return.
public struct RecordedHold: Hashable, Sendable, Timed {
  /// When it began.
  public var time: Nanoseconds
  /// How long it was.
  public var duration: Nanoseconds
  /// The processor on which it began.
  public var cpu: CPUIndex
  /// The thread.
  public var tid: ThreadID
  /// How the lock was held.
  public var mode: LockMode
  /// What was done under it.
  public var operation: LockedOperation
}

/// One wait for a VM's `mmu_lock`: from contention_begin to contention_end.
public struct RecordedWait: Hashable, Sendable, Timed {
  /// When it began.
  public var time: Nanoseconds
  /// How long it was.
  public var duration: Nanoseconds
  /// The processor on which it began.
  public var cpu: CPUIndex
  /// The thread.
  public var tid: ThreadID
  /// How the lock was asked for.
  public var mode: LockMode
  /// What was done under it then; nil where no probe told.
  public var operation: LockedOperation?
  /// The address of the fault that the thread was handling, nil outside of one.
  public var faultAddress: IPA?
  /// Who had the lock when it began, or was the first to have it meanwhile; nil where no probe told.
  public var holder: LockHolder?
}

/// A stage-2 function that runs under the lock.
public struct LockedOperation: Hashable, Sendable {
  /// The function.
  public var kind: OperationKind
  /// The address that it was called with, and the bytes, 0 for one that goes by the address alone.
  public var address: IPA
  /// The bytes.
  public var size: UInt64
}

/// Who has a lock that another thread waits for.
public struct LockHolder: Hashable, Sendable {
  /// The thread.
  public var tid: ThreadID
  /// Its processor.
  public var cpu: CPUIndex
  /// What it does under the lock.
  public var operation: LockedOperation
}
