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
      let pageTable = record.probedOperation.pageTable
      // The page table of a vCPU's own operation is its VM's; who else operates on it is known by that.
      if threads[position].openFault != nil, let vm = threads[position].vm, pageTables[pageTable] != vm {
        pageTables[pageTable] = vm
        timeline?.note(pageTable: pageTable, ofVM: vm, since: vms[vm].since)
      }
      threads[position].call = ProbedCall(kind: kind, time: record.time, pageTable: pageTable)
    } else if let kind = record.kind.returnedOperation, let call = threads[position].call, call.kind == kind {
      threads[position].call = nil
      let request = threads[position].waitedSince ?? call.time
      threads[position].waitedSince = nil
      guard let vm = pageTables[call.pageTable], record.time >= call.time else { return }
      if options.keepsSections {
        vms[vm].sections[record.tid, default: []].append(
          RecordedSection(kind: kind, request: min(request, call.time), start: call.time, end: record.time))
      }
      vms[vm].lockTimes.hold(
        kind, kind.lockMode(profile.profile, isProtected: vms[vm].isProtected),
        record.time.rawValue - call.time.rawValue,
        interval: grid.index(of: call.time))
    }
  }

  /// contention_begin and contention_end on the lock of any VM.
  mutating func timeWait(_ record: TraceRecord) {
    if record.kind == .contentionBegin {
      guard let position = knownThread(record.tid) else { return }
      let lock = record.contendedLock
      threads[position].wait =
        liveVMs.last { vms[$0].kvm == lock }.map { vm in
          ProbedWait(
            vm: vm, lock: lock, mode: record.contentionFlags.contains(.write) ? .write : .read,
            time: record.time)
        }
    } else if let position = knownThread(record.tid), let wait = threads[position].wait,
      wait.lock == record.contendedLock
    {
      threads[position].wait = nil
      threads[position].waitedSince = wait.time
      guard record.time >= wait.time else { return }
      vms[wait.vm].lockTimes.wait(
        wait.mode, record.time.rawValue - wait.time.rawValue, interval: grid.index(of: wait.time))
    }
  }
}

/// A call of a stage-2 function that has not returned yet.
struct ProbedCall {
  var kind: OperationKind
  var time: Nanoseconds
  var pageTable: KernelAddress
}

/// A wait for a VM's lock that goes on.
struct ProbedWait {
  var vm: Int
  var lock: KernelAddress
  var mode: LockMode
  var time: Nanoseconds
}
