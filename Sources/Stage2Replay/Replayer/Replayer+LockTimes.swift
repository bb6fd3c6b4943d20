internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Recorded time under mmu_lock: from the entry of a stage-2 function to its return, and from contention_begin to
// contention_end.

extension Replayer where Backend: ~Copyable {
  /// A probe on a stage-2 function, or on its return.
  mutating func timeOperation(_ record: TraceRecord) {
    guard let position = thread(record.tid) else { return }
    if let kind = record.kind.operation {
      let operation = record.probedOperation
      let pageTable = operation.pageTable
      // The page table of a vCPU's own operation is its VM's; who else operates on it is known by that.
      if threads[position].openFault != nil, let vm = threads[position].vm, pageTables[pageTable] != vm {
        pageTables[pageTable] = vm
        timeline?.note(pageTable: pageTable, ofVM: vm, since: vms[vm].since)
      }
      let call = ProbedCall(
        operation: LockedOperation(kind: kind, address: operation.address, size: operation.size),
        time: record.time, cpu: record.cpu, pageTable: pageTable)
      threads[position].call = call
      noteLockHeld(by: position, call)
    } else if let kind = record.kind.returnedOperation, let call = threads[position].call,
      call.operation.kind == kind
    {
      threads[position].call = nil
      lockWaits.end(position)
      let request = threads[position].waitedSince ?? call.time
      threads[position].waitedSince = nil
      guard let vm = pageTables[call.pageTable], record.time >= call.time else { return }
      if options.keepsSections {
        vms[vm].sections[record.tid, default: []].append(
          RecordedSection(kind: kind, request: min(request, call.time), start: call.time, end: record.time))
      }
      vms[vm].lockTimes.hold(
        LongHold(
          time: call.time, duration: Nanoseconds(record.time.rawValue - call.time.rawValue), cpu: call.cpu,
          tid: record.tid, mode: lockModes.mode(of: kind), operation: call.operation),
        interval: grid.index(of: call.time))
    }
  }

  /// A thread has the lock: it is what it waited for, and those that wait now wait for it.
  private mutating func noteLockHeld(by position: Int, _ call: ProbedCall) {
    if threads[position].finishedWait != nil { settleWait(of: position, by: call) }
    // The probe on mkyoung tells no return.
    guard call.operation.kind != .mkyoung else { return lockWaits.end(position) }
    lockWaits.begin(position)
    guard !lockWaits.waiting.isEmpty, let vm = pageTables[call.pageTable] else { return }
    for waiter in lockWaits.waiting where waiter != position && threads[waiter].wait?.vm == vm {
      if threads[waiter].wait!.holder == nil { threads[waiter].wait!.holder = holder(position, call) }
    }
  }

  private func holder(_ position: Int, _ call: ProbedCall) -> LockHolder {
    LockHolder(tid: threads[position].tid, cpu: call.cpu, operation: call.operation)
  }

  /// contention_begin and contention_end on the lock of any VM.
  mutating func timeWait(_ record: TraceRecord) {
    guard let position = knownThread(record.tid) else { return }
    if record.kind == .contentionBegin {
      settleWait(of: position, by: nil)
      let lock = record.contendedLock
      guard let vm = liveVMs.last(where: { vms[$0].kvm == lock }) else {
        threads[position].wait = nil
        lockWaits.endWait(position)
        return
      }
      let running = lockWaits.running.first { other in
        other != position && threads[other].call.map { pageTables[$0.pageTable] == vm } ?? false
      }
      threads[position].wait = ProbedWait(
        vm: vm, lock: lock, mode: record.contentionFlags.contains(.write) ? .write : .read,
        time: record.time, cpu: record.cpu,
        holder: running.flatMap { other in threads[other].call.map { holder(other, $0) } })
      lockWaits.beginWait(position)
    } else if let wait = threads[position].wait, wait.lock == record.contendedLock {
      threads[position].wait = nil
      lockWaits.endWait(position)
      threads[position].waitedSince = wait.time
      guard record.time >= wait.time else { return }
      let duration = record.time.rawValue - wait.time.rawValue
      vms[wait.vm].lockTimes.wait(wait.mode, duration, interval: grid.index(of: wait.time))
      guard vms[wait.vm].lockTimes.keeps(wait: duration) else { return }
      threads[position].finishedWait = FinishedWait(
        vm: wait.vm, place: threads[position].place,
        wait: LongWait(
          time: wait.time, duration: Nanoseconds(duration), cpu: wait.cpu, tid: record.tid, mode: wait.mode,
          operation: nil, faultAddress: threads[position].openFault?.event.ipa, holder: wait.holder))
    }
  }

  /// What a thread waited for is known: the function that it calls next, in the same fault or notifier.
  private mutating func settleWait(of position: Int, by call: ProbedCall?) {
    guard var finished = threads[position].finishedWait else { return }
    threads[position].finishedWait = nil
    if let call, finished.place == threads[position].place { finished.wait.operation = call.operation }
    vms[finished.vm].lockTimes.add(finished.wait)
  }

  /// The trace has ended.
  mutating func finishLockTimes() {
    for position in threads.indices { settleWait(of: position, by: nil) }
  }
}

/// A call of a stage-2 function that has not returned yet.
struct ProbedCall {
  var operation: LockedOperation
  var time: Nanoseconds
  var cpu: CPUIndex
  var pageTable: KernelAddress
}

/// A wait for a VM's lock that goes on.
struct ProbedWait {
  var vm: Int
  var lock: KernelAddress
  var mode: LockMode
  var time: Nanoseconds
  var cpu: CPUIndex
  /// Who had the lock at the beginning, else who was seen to have it first.
  var holder: LockHolder?
}

/// A wait that is over, of which it is not known yet what it was for.
struct FinishedWait {
  var vm: Int
  /// Where the thread was in its own stream of events.
  var place: ThreadPlace
  var wait: LongWait
}
