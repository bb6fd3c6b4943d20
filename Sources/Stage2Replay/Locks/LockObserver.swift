internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Recorded time under mmu_lock: from the entry of a stage-2 function to its return, and from contention_begin to
/// contention_end. It looks at events, each with what the attribution says of its thread, and changes nothing.
struct LockObserver {
  /// What the attribution knows of an event's thread.
  struct Thread {
    var index: ThreadIndex
    var tid: ThreadID
    var place: ThreadPlace
    /// Its open fault, while one is open.
    var fault: Fault?
  }

  /// An open fault.
  struct Fault {
    /// The VM whose vCPU the thread runs.
    var vm: VMIndex
    /// Since when the VM is there; 0 for one that was running before the trace.
    var vmSince: Nanoseconds
    /// The address of the fault.
    var ipa: IPA
  }

  private var threads: ContiguousArray<ThreadLocks> = []
  private var vms: ContiguousArray<VMLocks> = []
  private var pageTables = PageTableOwners()
  /// Holds that wait for it to come out whose lock it was.
  private var unowned = UnownedHolds()
  /// Who holds and who waits for locks at the moment.
  private var waits = LockWaits()
  /// For each CPU, until when events of it are missing.
  private var lossEnds: ContiguousArray<Nanoseconds> = []
  private let modes: RecordedLockModes
  private let grid: TimeGrid
  private let longest: Int
  private let keepsSections: Bool
  private let observedKinds: ObservedKinds
  /// What came since it was taken last, if somebody looks at it one by one.
  private var observed = ObservedLockTimes()

  init(_ modes: RecordedLockModes, grid: TimeGrid, _ options: ReplayOptions) {
    self.modes = modes
    self.grid = grid
    longest = options.longest
    keepsSections = options.keepsSections
    observedKinds = options.observed
  }

  /// The times since the last call, if somebody looks at them one by one.
  mutating func takeObserved() -> ObservedLockTimes {
    defer { observed = ObservedLockTimes() }
    return observed
  }

  // MARK: Losses

  /// Events of a CPU are missing until a moment. Who holds `mmu_lock`, or spins for it, stays on its CPU: so what was begun on this one
  /// before may have ended among them, and what ends on it behind them may have been begun there.
  mutating func lose(_ cpu: CPUIndex, until time: Nanoseconds) {
    while lossEnds.count <= Int(cpu.rawValue) { lossEnds.append(Nanoseconds(0)) }
    lossEnds[Int(cpu.rawValue)] = max(time, lossEnds[Int(cpu.rawValue)])
  }

  /// Whether all events of a CPU are there since a moment.
  private func isComplete(_ cpu: CPUIndex, since time: Nanoseconds) -> Bool {
    Int(cpu.rawValue) >= lossEnds.count || lossEnds[Int(cpu.rawValue)] <= time
  }

  // MARK: Holds

  /// The VM that is known to have a page table.
  mutating func owner(of table: KernelAddress) -> VMIndex? { pageTables.owner(of: table) }

  /// The VM that had a page table is gone: whoever uses the table from now on is another one.
  mutating func disown(_ table: KernelAddress) { pageTables.forget(table) }

  /// A probe on a stage-2 function, or on its return.
  ///
  /// - Returns: the VM of the page table that the function is called for, where that was not known before.
  mutating func operation(_ record: TraceRecord, by thread: Thread) -> VMIndex? {
    grow(to: thread.index)
    if let kind = record.kind.operation {
      let operation = record.probedOperation
      let found = thread.fault.flatMap { pageTables.note(operation.pageTable, of: $0.vm) ? $0 : nil }
      if let found {
        for hold in unowned.take(of: operation.pageTable, since: found.vmSince) {
          take(hold.hold, requested: hold.request, of: found.vm)
        }
      }
      begin(
        ProbedCall(
          operation: LockedOperation(kind: kind, address: operation.address, size: operation.size),
          time: record.time, cpu: record.cpu, pageTable: operation.pageTable,
          vm: pageTables.owner(of: operation.pageTable)), thread)
      return found?.vm
    }
    if let kind = record.kind.returnedOperation { end(kind, record, thread) }
    return nil
  }

  /// A thread has the lock: it is what it waited for, and those that wait now wait for it.
  private mutating func begin(_ call: ProbedCall, _ thread: Thread) {
    noteUntimed(thread.index)
    threads[thread.index.position].call = call
    threads[thread.index.position].tid = thread.tid
    if threads[thread.index.position].finishedWait != nil {
      settleWait(of: thread.index, by: call, at: thread.place)
    }
    // mkyoung returns nothing, and no probe tells when.
    guard call.operation.kind != .mkyoung else { return waits.end(thread.index) }
    waits.begin(thread.index)
    guard !waits.waiting.isEmpty, let vm = pageTables.owner(of: call.pageTable) else { return }
    for waiter in waits.waiting where waiter != thread.index && threads[waiter.position].wait?.vm == vm {
      if threads[waiter.position].wait?.holder == nil {
        let holder = holder(of: call, thread.tid)
        threads[waiter.position].wait?.holder = holder
      }
    }
  }

  private mutating func end(_ kind: OperationKind, _ record: TraceRecord, _ thread: Thread) {
    guard let call = threads[thread.index.position].call, call.operation.kind == kind else { return }
    let isTimed = isComplete(call.cpu, since: call.time)
    if !isTimed { noteUntimed(thread.index) }
    threads[thread.index.position].call = nil
    waits.end(thread.index)
    let wait = threads[thread.index.position].waitBefore.take()
    guard isTimed, record.time >= call.time else { return }
    let request = wait.flatMap { isComplete($0.cpu, since: $0.time) ? $0.time : nil } ?? call.time
    let hold = RecordedHold(
      time: call.time, duration: Nanoseconds(record.time.rawValue - call.time.rawValue), cpu: call.cpu,
      tid: record.tid, mode: modes.mode(of: kind), operation: call.operation)
    guard let vm = pageTables.owner(of: call.pageTable) else {
      return unowned.add(UnownedHolds.Hold(pageTable: call.pageTable, request: request, hold: hold))
    }
    take(hold, requested: request, of: vm)
  }

  /// A hold of the lock of a VM.
  private mutating func take(_ hold: RecordedHold, requested request: Nanoseconds, of vm: VMIndex) {
    grow(to: vm)
    if keepsSections {
      vms[vm.position].sections[hold.tid, default: []].append(
        RecordedSection(
          kind: hold.operation.kind, request: min(request, hold.time), start: hold.time,
          end: hold.time + hold.duration))
    }
    vms[vm.position].times.hold(hold, grid)
    if observedKinds.contains(.holds) { observed.holds.append((vm, hold)) }
  }

  /// A thread's last call is over, and no event told when it returned.
  private mutating func noteUntimed(_ thread: ThreadIndex) {
    guard let call = threads[thread.position].call,
      let vm = call.vm ?? pageTables.owner(of: call.pageTable)
    else { return }
    grow(to: vm)
    vms[vm.position].times.untimed(call.operation.kind)
  }

  private func holder(of call: ProbedCall, _ tid: ThreadID) -> LockHolder {
    LockHolder(tid: tid, cpu: call.cpu, operation: call.operation)
  }

  // MARK: Waits

  /// contention_begin or contention_end.
  ///
  /// - Parameter vm: the live VM whose lock it is, nil for any other lock.
  mutating func contention(_ record: TraceRecord, by thread: Thread, lockOf vm: VMIndex?) {
    grow(to: thread.index)
    if record.kind == .contentionBegin {
      beginWait(record, thread, vm)
    } else if let wait = threads[thread.index.position].wait, wait.lock == record.contendedLock {
      end(wait, record, thread)
    }
  }

  private mutating func beginWait(_ record: TraceRecord, _ thread: Thread, _ vm: VMIndex?) {
    settleWait(of: thread.index, by: nil, at: thread.place)
    guard let vm else {
      threads[thread.index.position].wait = nil
      waits.endWait(thread.index)
      return
    }
    threads[thread.index.position].wait = ProbedWait(
      vm: vm, lock: record.contendedLock, mode: record.contentionFlags.contains(.write) ? .write : .read,
      time: record.time, cpu: record.cpu,
      holder: holder(of: vm, besides: thread.index))
    waits.beginWait(thread.index)
  }

  /// The first thread but `waiter` that is in a stage-2 function of a VM.
  private mutating func holder(of vm: VMIndex, besides waiter: ThreadIndex) -> LockHolder? {
    for thread in waits.running where thread != waiter {
      guard let call = threads[thread.position].call, pageTables.owner(of: call.pageTable) == vm,
        isComplete(call.cpu, since: call.time)
      else { continue }
      return holder(of: call, threads[thread.position].tid)
    }
    return nil
  }

  private mutating func end(_ wait: ProbedWait, _ record: TraceRecord, _ thread: Thread) {
    threads[thread.index.position].wait = nil
    waits.endWait(thread.index)
    threads[thread.index.position].waitBefore = nil
    guard record.time >= wait.time, isComplete(wait.cpu, since: wait.time) else { return }
    threads[thread.index.position].waitBefore = wait
    let duration = record.time.rawValue - wait.time.rawValue
    grow(to: wait.vm)
    vms[wait.vm.position].times.wait(wait.mode, from: wait.time, duration, grid)
    guard observedKinds.contains(.waits) || vms[wait.vm.position].times.keeps(wait: duration) else { return }
    threads[thread.index.position].finishedWait = FinishedWait(
      vm: wait.vm, place: thread.place,
      wait: RecordedWait(
        time: wait.time, duration: Nanoseconds(duration), cpu: wait.cpu, tid: record.tid, mode: wait.mode,
        operation: nil, faultAddress: thread.fault?.ipa, holder: wait.holder))
  }

  /// What a thread waited for is known: the function that it calls next, in the same fault or notifier.
  private mutating func settleWait(of thread: ThreadIndex, by call: ProbedCall?, at place: ThreadPlace) {
    guard var finished = threads[thread.position].finishedWait else { return }
    threads[thread.position].finishedWait = nil
    if let call, finished.place == place, isComplete(finished.wait.cpu, since: finished.wait.time) {
      finished.wait.operation = call.operation
    }
    vms[finished.vm.position].times.add(finished.wait)
    if observedKinds.contains(.waits) { observed.waits.append((finished.vm, finished.wait)) }
  }

  // MARK: The end

  /// The trace has ended.
  mutating func finish() {
    for thread in threads.indices {
      settleWait(of: ThreadIndex(thread), by: nil, at: ThreadPlace(windows: 0, notifiers: 0))
      noteUntimed(ThreadIndex(thread))
    }
  }

  /// What was recorded of the lock of one VM, nil where nothing was.
  ///
  /// - Parameters:
  ///   - performed: the functions that ran or may have, as far as the replay knows: where no probe told of one, its time is not known.
  ///   - tellsWaits: whether waits for this lock leave events.
  func result(
    of vm: VMIndex, performed: Set<OperationKind> = [], tellsWaits: Bool = true
  ) -> LockResult? {
    vm.position < vms.count
      ? vms[vm.position].times.result(modes, performed: performed, tellsWaits: tellsWaits) : nil
  }

  /// The recorded sections of one VM by thread, if they are kept.
  func sections(of vm: VMIndex) -> [ThreadID: [RecordedSection]] {
    vm.position < vms.count ? vms[vm.position].sections.mapValues { $0.sorted { $0.start < $1.start } } : [:]
  }

  /// What was recorded of all locks, each of its own.
  var resultOfAll: LockResult? {
    var all = LockTimes(longest: 0)
    for vm in vms { all.merge(vm.times) }
    return all.result(modes, performed: [], tellsWaits: true)
  }

  /// Holds of which it never came out whose lock it was.
  var unattributed: UnattributedHolds { unowned.unattributed }

  private mutating func grow(to thread: ThreadIndex) {
    while threads.count <= thread.position { threads.append(ThreadLocks()) }
  }

  private mutating func grow(to vm: VMIndex) {
    while vms.count <= vm.position { vms.append(VMLocks(times: LockTimes(longest: longest))) }
  }
}

/// One thread and the locks of VMs.
private struct ThreadLocks {
  var tid = ThreadID(-1)
  /// The probed function that it is in, and the VM's lock that it waits for.
  var call: ProbedCall?
  var wait: ProbedWait?
  /// Its last wait, while it is one of the longest and what it was for is not known.
  var finishedWait: FinishedWait?
  /// Its wait for the lock that it has now.
  var waitBefore: ProbedWait?
}

/// What was recorded of one VM's lock.
private struct VMLocks {
  var times: LockTimes
  /// Recorded sections under the lock, by thread, if they are kept.
  var sections: [ThreadID: [RecordedSection]] = [:]
}

/// A call of a stage-2 function that has not returned yet.
private struct ProbedCall {
  var operation: LockedOperation
  var time: Nanoseconds
  var cpu: CPUIndex
  var pageTable: KernelAddress
  /// Whose the table was then, where that was known: another VM's table may lie there when the call's end is not seen.
  var vm: VMIndex?
}

/// A wait for a VM's lock that goes on.
private struct ProbedWait {
  var vm: VMIndex
  var lock: KernelAddress
  var mode: LockMode
  var time: Nanoseconds
  var cpu: CPUIndex
  /// Who had the lock at the beginning, else who was seen to have it first.
  var holder: LockHolder?
}

/// A wait that is over, of which it is not known yet what it was for.
private struct FinishedWait {
  var vm: VMIndex
  /// Where the thread was in its own stream of events.
  var place: ThreadPlace
  var wait: RecordedWait
}
