internal import KVMTrace
internal import KVMTypes

/// When a VM was there, and what is known of it from the beginning.
struct VMIdentity {
  /// The threads that run its vCPUs, where a history of slots names them.
  let tids: Set<ThreadID>?
  let since: Nanoseconds
  /// The address of its `struct kvm`, nil where nothing told it when it appeared.
  let kvm: KernelAddress?
  /// Whether it had slots before the trace began: not all of them are known.
  let wasRunning: Bool
  /// Whether it is a protected guest: its pages are pinned and donated to it, and stay whatever the host unmaps.
  let isProtected: Bool
  /// The epoch in which it appeared.
  let firstEpoch: Epoch
  /// The epoch in which all commits of its memslots are known; `never` where one may have been lost before it appeared.
  let slotsKnownFrom: Epoch
  /// When it was gone, and how that is known.
  var end: VMEnd?

  var life: VMLife { VMLife(since: wasRunning ? Nanoseconds(0) : since, kvm: kvm) }
}
