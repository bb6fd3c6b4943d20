internal import KVMTrace
internal import KVMTypes

// What of threads is open where events are missing: what they began before a gap may have ended in it, and something else begun.
//
// Each gap asks all threads, and there may be thousands of both: the loops are plain ones over positions, and nothing is copied in them.

extension Attribution {
  /// The stretch before an epoch has ended. The threads of vCPUs that it does not show were last seen before the gap ahead of it: any
  /// of them may have been in a fault all the while, or in one after the other.
  @inline(never)
  mutating func noteUnseenThreads(before next: Epoch) {
    // Of each VM, by its position: where the first of them was seen last.
    var earliest = [Sequence](repeating: .pending, count: vms.count)
    var position = 0
    while position < threads.count {
      let thread = ThreadIndex(position)
      position += 1
      guard threads[thread].epoch.rawValue < next.rawValue - 1, let vm = threads[thread].vcpu.vm,
        vms[vm].identity.end == nil
      else { continue }
      let since = threads[thread].vcpu.unseenSince(lookahead.timelines.breaks)
      if since < earliest[vm.position] { earliest[vm.position] = since }
    }
    for vm in earliest.indices where earliest[vm] < .pending {
      lookahead.settled.append(.unseenFault(since: earliest[vm], until: clock.now), VMIndex(vm))
    }
  }

  /// A gap begins. A thread whose last event is that of a notification may have waited for a lock since, or wait for it still: when it
  /// has it may be among what is missing.
  @inline(never)
  mutating func doubtOpenNotifications() {
    var position = 0
    while position < threads.count {
      if let last = threads[ThreadIndex(position)].notifier.last { lookahead.doubtNotification(at: last) }
      position += 1
    }
  }
}
