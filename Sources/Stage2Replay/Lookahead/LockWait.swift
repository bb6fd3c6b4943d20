internal import KVMTrace
internal import KVMTypes

/// A vCPU's wait for a lock inside the window of a fault, by places in the merged trace.
struct LockWait: Hashable, BitwiseCopyable {
  var lock: KernelAddress
  /// contention_begin.
  var begin: Sequence
  /// contention_end, `pending` while the wait goes on.
  var end = Sequence.pending
}

extension FaultWindow {
  /// contention_begin or contention_end of the fault's thread, at `sequence`.
  mutating func noteWait(_ record: TraceRecord, at sequence: Sequence, isMMULock: Bool) {
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
  func waitedForMMULock(of other: FaultWindow) -> Bool {
    guard let wait = mmuLockWait else { return false }
    return other.mmuLockWait.map { $0.end < wait.end } ?? (other.begin < wait.begin)
  }

  /// Whether `other` was first to get a lock that both waited for on their way to `mmu_lock`, such as that of a page
  /// table of the host.
  func waitedForOtherLock(of other: FaultWindow) -> Bool {
    guard mmuLockWait == nil, other.mmuLockWait == nil, let wait = otherWait, let first = other.otherWait
    else {
      return false
    }
    return wait.lock == first.lock && first.end < wait.end
  }
}
