internal import KVMTrace
internal import KVMTypes

// What of threads is open where events are missing: what they began before a gap may have ended in it, and something else begun.

extension Attribution {
  /// A gap begins. A thread whose last event is that of a notification may have waited for a lock since, or wait for it still: when it
  /// has it may be among what is missing.
  @inline(never)
  mutating func doubtOpenNotifications() {
    for thread in threads.indices {
      if let last = threads[thread].notifier.last { lookahead.doubtNotification(at: last) }
    }
  }
}
