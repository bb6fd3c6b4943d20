internal import KVMTrace
internal import KVMTypes

// What of threads is open where events are missing: what they began before a gap may have ended in it, and something else begun.

extension Attribution {
  /// The stretch before an epoch has ended. The threads of vCPUs that it does not show were last seen before the gap ahead of it: any
  /// of them may have been in a fault all the while, or in one after the other.
  @inline(never)
  mutating func noteUnseenThreads(before next: Epoch) {
    for thread in threads.indices where threads[thread].epoch.rawValue < next.rawValue - 1 {
      guard let vm = threads[thread].vcpu.vm, !vms[vm].isGone else { continue }
      let since = threads[thread].vcpu.unseenSince(lookahead.timelines.breaks)
      lookahead.settled.append(.unseenFault(since: since, until: clock.now), vm)
    }
  }

  /// A gap begins. A thread whose last event is that of a notification may have waited for a lock since, or wait for it still: when it
  /// has it may be among what is missing.
  @inline(never)
  mutating func doubtOpenNotifications() {
    for thread in threads.indices {
      if let last = threads[thread].notifier.last { lookahead.doubtNotification(at: last) }
    }
  }
}
