internal import KVMTrace
internal import KVMTypes

// Where a vCPU goes on after its fault. One that got its page, or has to fault again, repeats the instruction, so the kvm_entry
// that ends the fault's window has its address. It has another one where the guest was given an exception in place
// of the page: of poisoned memory, for example, the VMM is told by SIGBUS (kvm_send_hwpoison_signal), and has the
// guest take an external abort, or puts another page in its place.

extension Attribution {
  /// The thread of a vCPU enters the guest, whose next instruction is at `pc`.
  @inline(__always)
  mutating func noteEntry(at pc: GuestVA, _ thread: ThreadIndex) {
    if let open = threads[thread].vcpu.openFault {
      if lookahead[open].event.pc != pc { lookahead[open].gotException = !lookahead[open].sawMMIO }
    } else if threads[thread].vcpu.faultBeforeExit != nil {
      noteEntryAfterExit(at: pc, thread)
    }
  }

  /// KVM_RUN returns while a fault of the thread is open.
  mutating func noteExit(_ thread: ThreadIndex, isInterrupted: Bool) {
    guard let open = threads[thread].vcpu.openFault, !lookahead[open].failed, !lookahead[open].sawMMIO else {
      return
    }
    threads[thread].vcpu.faultBeforeExit = clock.now
    lookahead[open].evidence.endsInSignal = isInterrupted
  }

  /// The thread of a vCPU outside KVM_RUN unmaps frames: they may be the page of its fault, if that ended in a signal. A VMM
  /// that is told of failed memory knows the page, or the hugetlb page, and unmaps that alone; NUMA balancing unmaps more at
  /// a time, and reclaim asks of a page first whether it was used.
  @inline(never)
  mutating func noteReplacement(
    _ range: HVARange, _ frames: FrameRanges, of vm: VMIndex, _ thread: ThreadIndex
  ) {
    guard let end = threads[thread].vcpu.faultBeforeExit, threads[thread].vcpu.vm == vm,
      !threads[thread].notifier.isReclaiming, let (id, _) = lookahead.waitingFault(endedAt: end)
    else { return }
    guard lookahead[id].evidence.endsInSignal, range.isPage(context.pageSize),
      frames.contains(lookahead[id].page.gfn(context.pageSize))
    else { return }
    lookahead[id].evidence.isReplaced = true
  }

  /// The same access faults again, and nothing took the page away in between, as far as events tell: where a signal ended the fault
  /// before, that was of failed memory.
  @inline(never)
  mutating func noteRetry(of id: FaultID) {
    guard lookahead[id].evidence.endsInSignal, lookahead[id].kind == .translation,
      !context.events.missing.contains(.unmapHVARange),
      lookahead[id].evidence.entryEpoch == clock.epoch, !clock.isInGap
    else { return }
    lookahead[id].mayBeInvalidated = true
  }

  /// The VMM may have set the registers of the vCPU, to give the guest an exception or to begin anew: after a reset the last
  /// fault may have got its page all the same.
  @inline(never)
  private mutating func noteEntryAfterExit(at pc: GuestVA, _ thread: ThreadIndex) {
    guard let end = threads[thread].vcpu.faultBeforeExit else { return }
    threads[thread].vcpu.faultBeforeExit = nil
    guard let (id, _) = lookahead.waitingFault(endedAt: end), lookahead[id].event.pc != pc else { return }
    if pc.isSynchronousVector {
      lookahead[id].gotException = true
    } else {
      lookahead[id].mayBeInvalidated = true
    }
  }
}

extension GuestVA {
  /// Whether a table of exception vectors may have its entry for synchronous exceptions here: VBAR_EL1 is a multiple of 2 KiB, and
  /// the entries are at 0x200 for the current exception level, 0x400 for a lower one, 0x600 for that in AArch32. (That
  /// at 0, for an exception level that uses SP_EL0, is where a guest may begin, too.)
  fileprivate var isSynchronousVector: Bool {
    let offset = rawValue & 0x7ff
    return offset == 0x200 || offset == 0x400 || offset == 0x600
  }
}
