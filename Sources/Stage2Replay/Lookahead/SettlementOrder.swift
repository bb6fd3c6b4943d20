internal import KVMTypes

/// Which faults are settled before their turn.
struct SettlementOrder {
  /// For each unmap that waited for mmu_lock, the ends of the windows of the faults that held it first; for the first
  /// notification by the thread of a fault, that of the fault, which may be ahead of it.
  private var ahead: [FrameKey: [Sequence]] = [:]
  /// The threads whose records are being settled, while others are settled ahead of them.
  private var threads: [ThreadID] = []

  /// A fault whose window ended at `end` may be ahead of a notification.
  mutating func note(ahead end: Sequence, of notification: Sequence) {
    ahead[FrameKey(notification.rawValue), default: []].append(end)
  }

  /// The ends of the windows of faults that may be ahead of a notification, whose turn it is.
  @inline(__always)
  mutating func takeAhead(of notification: Sequence) -> [Sequence] {
    ahead.isEmpty ? [] : ahead.removeValue(forKey: FrameKey(notification.rawValue)) ?? []
  }

  /// A record of a thread is kept waiting until another is settled.
  mutating func begin(aheadOf tid: ThreadID) { threads.append(tid) }
  mutating func end() { threads.removeLast() }

  /// Whether a record of this thread is being settled.
  func isInSettlement(_ tid: ThreadID) -> Bool { threads.contains(tid) }
}
