internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Faults whose windows overlap race for the lock, and the second to map a page gets -EAGAIN. Faults are applied in the
// order in which their windows end, which is nearly always that of their operations: what delays the way from the
// operation back to the guest is short. Where it is not, because of an interrupt or a preemption, waits for the lock
// and repeated faults may tell the true order.

extension Replayer where Backend: ~Copyable {
  /// contention_begin and contention_end: a thread waits for a VM's `mmu_lock`, or another lock.
  mutating func contention(_ record: TraceRecord) {
    guard let position = knownThread(record.tid) else { return }
    if threads[position].lastNotification != 0 {
      if record.kind == .contentionBegin {
        threads[position].notificationWait = sequence
      } else {
        notificationHasLock(position, record)
      }
    } else if threads[position].openFault != nil, let vm = threads[position].vm {
      let isMMULock = isMMULock(record, ofVM: vm)
      threads[position].openFault!.record.noteWait(record, at: sequence, isMMULock: isMMULock)
    }
  }

  /// Whether a lock is the `mmu_lock` of a VM, which is the first field of `struct kvm`. Where no probe told its address:
  /// it is the one lock in the course of a fault that readers and writers spin for.
  private func isMMULock(_ record: TraceRecord, ofVM vm: Int) -> Bool {
    if let kvm = vms[vm].kvm { return kvm == record.contendedLock }
    return record.contentionFlags.contains(.spin)
      && !record.contentionFlags.isDisjoint(with: [.read, .write])
  }

  /// The thread of a notifier's event waited for a VM's lock: what it does happens now. Faults of the meantime found
  /// memory as it was.
  private mutating func notificationHasLock(_ position: Int, _ record: TraceRecord) {
    guard let vm = liveVMs.first(where: { vms[$0].kvm == record.contendedLock }) else { return }
    let moved = delayNotification(of: threads[position].lastNotification, vm: vm, until: record)
    for case .unmap(let frames) in moved.map(\.action) {
      note(.unmap, frames, vm: vm, by: record.tid)
      for other in openThreads where other != position && threads[other].vm == vm {
        let fault = threads[other].openFault!.record
        guard fault.mmuLockWait == nil, fault.begin < threads[position].notificationWait,
          frames.contains(fault.page.gfn(profile.pageSize))
        else { continue }
        threads[other].openFault!.record.waitingUnmap = sequence
      }
    }
  }

  /// A fault begins: which of the open ones race with it, and which of these have to change the same entry?
  ///
  /// Under the write lock the second of them finds what the first one did. Under the read lock it may have read the entry
  /// before, and gives up where that has changed (`stage2_try_break_pte`, `stage2_try_set_pte`).
  mutating func noteRivals(of fault: inout FaultRecord, canHoldBlock: Bool, _ vm: Int) {
    let block = timelines.block(fault.page.gfn(profile.pageSize))
    for other in openThreads where threads[other].vm == vm {
      // Fields are read where they are: a copy of the record would cost more than all else here.
      let page = threads[other].openFault!.record.page
      let isShared =
        page == fault.page || canHoldBlock && timelines.block(page.gfn(profile.pageSize)) == block
      if isShared, threads[other].openFault!.parkedNode == nil {
        timelines.markRace(threads[other].openFault!.record.node, fault.node)
      }
      if profile.profile.faultLock == .read,
        fault.needsEntry(of: threads[other].openFault!.record, profile.pageSize)
      {
        fault.sharesEntry = true
        threads[other].openFault!.record.sharesEntry = true
      }
    }
  }

  /// What a thread's fault says about its fault before, where that may have come to nothing.
  mutating func compareWithLastFault(of position: Int, _ event: GuestFault) {
    guard let last = threads[position].lastFault else { return }
    threads[position].lastFault = nil
    guard let next = event.next(after: last.event) else { return }
    let (windows, ranOn) = (threads[position].place.windows, threads[position].ranOn)
    var waitingUnmap: UInt64?
    updateWaitingFault(endedAt: last.sequence) { fault in
      let isAtOnce =
        fault.place.windows &+ 1 == windows && ranOn == fault.cpu && ranOn == fault.evidence.endedOn
      fault.nextAccess = next == .again && isAtOnce ? .againAtOnce : next
      waitingUnmap = fault.waitingUnmap
    }
    if next == .progressed { noteProgress(ofFaultEndedAt: last.sequence) }
    // It got the page mapped, so it had the lock that the unmap waited for.
    if next == .progressed, let waitingUnmap, waitingUnmap >= oldestWaiting {
      faultsBefore[waitingUnmap, default: []].append(last.sequence)
    }
  }

  /// A fault's thread got on. If nobody else can have mapped the page, the fault did: no unmap made it retry.
  private mutating func noteProgress(ofFaultEndedAt sequence: UInt64) {
    guard let fault = waitingFault(endedAt: sequence), fault.kind == .translation, fault.slot != nil,
      !fault.sawOwnUnmap, !fault.sawMMIO, !fault.failed, timelines.isAlone(fault),
      fault.evidence.entryEpoch == losses.epoch, !losses.isInGap
    else { return }
    updateWaitingFault(endedAt: sequence) { $0.mayBeInvalidated = false }
  }

  /// Applies the faults that had the lock while an unmap waited for it, although their windows end later.
  mutating func applyThoseAhead(ofUnmap record: PendingRecord) {
    guard !faultsBefore.isEmpty, let ends = faultsBefore.removeValue(forKey: record.sequence) else { return }
    for end in ends where isNext(windowEndingAt: end) {
      guard let fault = takeWaitingFault(endedAt: end) else { continue }
      apply(fault, ahead: record)
    }
  }

  /// Whether everything that its thread did before a fault has been applied: a thread does one thing after the other,
  /// so a fault is not ahead of what its own thread did before.
  private func isNext(windowEndingAt sequence: UInt64) -> Bool {
    guard let fault = waitingFault(endedAt: sequence), !threadsInApplication.contains(fault.tid) else {
      return false
    }
    return !isWaiting(tid: fault.tid, before: sequence)
  }

  /// Applies a fault before its turn. It operated inside its own window, which the moment of the other record is part
  /// of.
  private mutating func apply(_ fault: PendingRecord, ahead other: PendingRecord) {
    var fault = fault
    fault.isApplied = false
    fault.time = other.time
    fault.moment = other.moment ?? other.sequence
    threadsInApplication.append(other.tid)
    apply(fault)
    threadsInApplication.removeLast()
  }

  /// Applies the faults that raced with `fault` and were ahead of it although their windows end later.
  mutating func applyThoseAhead(of fault: FaultRecord, _ record: PendingRecord) {
    guard timelines[fault.node].isRaced else { return }
    // A rival that comes after the moment has faults of its own thread before it.
    let moment = record.moment ?? record.sequence
    while let end = timelines.rival(
      of: fault, where: { $0.sequence < moment && isAhead($0, $1, of: fault) }),
      let rival = takeWaitingFault(endedAt: end)
    {
      apply(rival, ahead: record)
    }
  }

  /// Whether the fault at a node of the timeline operated before `fault`, whose window ends earlier.
  private func isAhead(_ node: TimelineNode, _ index: TimelineNode.Index, of fault: FaultRecord) -> Bool {
    guard let rival = waitingFault(endedAt: node.end), rival.node == index else { return false }
    let isFirst =
      if fault.waitedForOtherLock(of: rival) {
        true
      } else if profile.profile.faultLock == .write {
        // What the rival had mapped by then, this vCPU would not have found unmapped when it entered again: its wait
        // was for somebody else, such as a notifier.
        fault.waitedForMMULock(of: rival) && !timelines.faultsAgain(fault, before: node.end)
      } else {
        // Faults that share the lock collide where one replaces an entry: for the time of its break-before-make the
        // other finds the page unmapped and gets -EAGAIN, again and again.
        timelines.faultsAgain(fault, before: node.end)
      }
    return isFirst && isNext(windowEndingAt: node.end)
  }
}
