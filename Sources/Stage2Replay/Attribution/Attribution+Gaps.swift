internal import KVMTrace
internal import KVMTypes

// What of threads is open where events are missing: what they began before a gap may have ended in it, and something else begun.

extension Attribution {
  /// The stretch before an epoch has ended. The threads of vCPUs that it does not show were last seen before the gap ahead of it: any
  /// of them may have been in a fault all the while, or in one after the other.
  @inline(never)
  mutating func noteUnseenThreads(before next: Epoch) {
    // Of each VM, by its position: where the first of them was seen last.
    var earliest = [Sequence](repeating: .pending, count: vms.count)
    for thread in threads.indices where threads[thread].epoch.rawValue < next.rawValue - 1 {
      // `isGone` would copy the VM.
      guard let vm = threads[thread].vcpu.vm, vms[vm].identity.end == nil else { continue }
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
    for thread in threads.indices {
      if let last = threads[thread].notifier.last { lookahead.doubtNotification(at: last) }
    }
  }
}
