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

/// What was waited for while a fault's window was open.
struct FaultWaits: BitwiseCopyable {
  /// The thread's last wait for the VM's lock, and its last for any other.
  private(set) var mmuLock: LockWait?
  private(set) var other: LockWait?
  /// An unmap of the page that waited for the lock, which the fault may have had: its place in the queue.
  var unmap: Sequence?
  /// The last removal of the fault's slot in the window, if there was none again when that ended: its place in the queue.
  var removal: Sequence?
  /// The first notification by the fault's own thread: its place in the queue.
  var ownNotification: Sequence?

  /// contention_begin or contention_end of the fault's thread, at `sequence`.
  mutating func note(_ record: TraceRecord, at sequence: Sequence, isMMULock: Bool) {
    let lock = record.contendedLock
    if record.kind == .contentionBegin {
      let wait = LockWait(lock: lock, begin: sequence)
      if isMMULock { mmuLock = wait } else { other = wait }
    } else if mmuLock?.lock == lock {
      mmuLock?.end = sequence
    } else if other?.lock == lock {
      other?.end = sequence
    }
  }

  /// Whether another fault, whose event came at `begin` and whose window overlaps this one's, had `mmu_lock` first, as far as
  /// waits tell. Both took it to write. It is a fair queue: who waits gets it after all who had it or queued before, and who
  /// does not wait finds it free.
  func showMMULockFirst(with other: FaultWaits, begin: Sequence) -> Bool {
    guard let wait = mmuLock else { return false }
    return other.mmuLock.map { $0.end < wait.end } ?? (begin < wait.begin)
  }

  /// Whether the other fault was first to get a lock that both waited for on their way to `mmu_lock`, such as that of a page
  /// table of the host.
  func showOtherLockFirst(with rival: FaultWaits) -> Bool {
    guard mmuLock == nil, rival.mmuLock == nil, let wait = other, let first = rival.other else {
      return false
    }
    return wait.lock == first.lock && first.end < wait.end
  }
}
