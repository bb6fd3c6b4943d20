internal import KVMTrace
internal import KVMTypes

// Guests of guests: which faults are of a shadow stage 2. Those are counted, and go no further.

extension Attribution {
  private var tellsNestedExceptions: Bool { !context.events.missing.contains(.nestedException) }

  /// kvm_nested_eret and kvm_inject_nested_exception.
  mutating func nestedSwitch(_ record: TraceRecord) {
    guard let thread = threads.thread(record.tid) else { return }
    leaveMemoryManagement(thread)
    reach(thread)
    threads[thread].nesting.take(record, in: clock.epoch)
  }

  /// kvm_entry of a nested guest.
  @inline(never)
  mutating func enterNested(_ pc: GuestVA, _ thread: ThreadIndex) {
    threads[thread].nesting.enter(at: pc, tellsExceptions: tellsNestedExceptions)
  }

  /// kvm_exit of a nested guest, or by an ERET.
  @inline(never)
  mutating func leaveNested(_ exit: VCPUExit, _ thread: ThreadIndex) {
    threads[thread].nesting.exit(exit, in: clock.epoch, tellsExceptions: tellsNestedExceptions)
  }

  /// kvm_userspace_exit where guests have guests. A VMM that resets a guest resets each of its vCPUs, once all are out of KVM_RUN.
  mutating func exitNested(_ exit: UserspaceExit, _ thread: ThreadIndex) {
    threads[thread].nesting.leaveRun()
    guard exit.isSystemEvent, let vm = threads[thread].vcpu.vm else { return }
    for tid in vms[vm].vcpus {
      guard let vcpu = threads.known(tid) else { continue }
      threads[vcpu].nesting.reset(isOut: threads[vcpu].vcpu.isInUserspace)
    }
  }

  /// Whether a thread's fault is one of a shadow stage 2. What was known before a gap, or before the trace began, the next event that
  /// tells may contradict.
  @inline(__always)
  func isNested(_ thread: ThreadIndex, at time: Nanoseconds) -> Bool {
    if threads[thread].nesting.epoch != clock.epoch || clock.isInGap,
      let told = context.survey.faults.nesting.correction(of: threads[thread].tid, at: time)
    {
      return told
    }
    return threads[thread].nesting.isNested
  }

  /// A fault on an address of a nested guest, whose table is not modelled.
  mutating func nestedFault(_ event: GuestFault, _ thread: ThreadIndex, _ record: TraceRecord) {
    // The thread has been elsewhere since its last fault.
    threads[thread].vcpu.lastFault = nil
    threads[thread].vcpu.hasRetried = false
    var vm = threads[thread].vcpu.vm
    if let known = vm, vms[known].isGone { vm = nil }
    guard let vm = vm ?? vms.owner(ofThread: threads[thread].tid, vcpuEvidence) else {
      found.unattributedFaults += 1
      return
    }
    vms[vm].faults.nested += 1
    vms[vm].activity.lastSeen = record.time
  }

  /// Whether a probe's event is of a shadow stage 2: of a table that a nested guest's fault changed. Of a return it does not say.
  mutating func isOfShadow(_ record: TraceRecord) -> Bool {
    guard context.survey.faults.nesting.isSeen, let kind = record.kind.operation else { return false }
    let isOfNestedFault =
      kind.isOfFault && threads.known(record.tid).map { isNested($0, at: record.time) } ?? false
    return found.shadowTables.take(record.probedOperation.pageTable, isOfNestedFault: isOfNestedFault)
  }
}
