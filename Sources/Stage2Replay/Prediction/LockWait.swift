internal import KVMTrace
internal import KVMTypes

/// A vCPU's wait for a lock inside the window of a fault, by places in the merged trace.
struct LockWait: Hashable {
  var lock: KernelAddress
  /// contention_begin.
  var begin: UInt64
  /// contention_end, the highest number while the wait goes on.
  var end: UInt64 = .max
}

extension FaultRecord {
  /// contention_begin or contention_end of the fault's thread, at `sequence`.
  mutating func noteWait(_ record: TraceRecord, at sequence: UInt64, isMMULock: Bool) {
    let lock = record.contendedLock
    if record.kind == .contentionBegin {
      let wait = LockWait(lock: lock, begin: sequence)
      if isMMULock { mmuLockWait = wait } else { otherWait = wait }
    } else if mmuLockWait?.lock == lock {
      mmuLockWait?.end = sequence
    } else if otherWait?.lock == lock {
      otherWait?.end = sequence
    }
  }

  /// Whether `other`, whose window overlaps this one's, had `mmu_lock` first, as far as waits tell. Both took it to
  /// write. It is a fair queue: who waits gets it after all who had it or queued before, and who does not wait finds it
  /// free.
  func waitedForMMULock(of other: FaultRecord) -> Bool {
    guard let wait = mmuLockWait else { return false }
    return other.mmuLockWait.map { $0.end < wait.end } ?? (other.begin < wait.begin)
  }

  /// Whether `other` was first to get a lock that both waited for on their way to `mmu_lock`, such as that of a page
  /// table of the host.
  func waitedForOtherLock(of other: FaultRecord) -> Bool {
    guard mmuLockWait == nil, other.mmuLockWait == nil, let wait = otherWait, let first = other.otherWait
    else {
      return false
    }
    return wait.lock == first.lock && first.end < wait.end
  }
}
