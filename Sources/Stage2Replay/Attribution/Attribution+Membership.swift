internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Whose vCPU a thread runs, and whether that is more than a guess. No event of a vCPU names its VM.

extension Attribution {
  /// The VM whose vCPU a thread runs: the one it was last known to run, unless that is gone; else the one that the first
  /// pass settled on; else a VM whose slots hold the address; else any; a VM without slots where no probe told of any.
  @inline(__always)
  mutating func vm(ofThread thread: ThreadIndex, touching gfn: GFN, at record: TraceRecord) -> VMIndex {
    if let known = threads[thread].vcpu.vm, !vms[known].isGone { return known }
    return findVM(ofThread: thread, touching: gfn, at: record)
  }

  private mutating func findVM(
    ofThread thread: ThreadIndex, touching gfn: GFN, at record: TraceRecord
  )
    -> VMIndex
  {
    let tid = threads[thread].tid
    let vm =
      vms.owner(ofThread: tid, touching: gfn, vcpuEvidence) ?? addVMWithoutSlots(at: record.time)
    // What the thread did since the VM is there was for it; what a thread did before its first fault, too.
    let since = threads[thread].vcpu.vm == nil ? Nanoseconds(0) : vms[vm].identity.since
    found.vcpuSpans.append(VCPUSpan(tid: tid, vm: vm.position, since: since))
    found.timeline?.note(thread: tid, ofVM: vm.position, since: since)
    threads[thread].mayBeOfOtherVM = mayBeOfOtherVM(thread, than: vm)
    if threads[thread].mayBeOfOtherVM { found.guessedVCPUs += 1 }
    if vms[vm].vcpus.isEmpty { vms[vm].resets.begin(with: record.guestFault) }
    threads[thread].vcpu.vm = vm
    threads[thread].vcpu.index = vms[vm].vcpus.count
    vms[vm].vcpus.append(tid)
    if let level = context.survey.lowestLevels[tid] { lookahead.settled.append(.startLevel(level), vm) }
    return vm
  }

  /// Whether a thread, which just turns out to run a vCPU, may run one of a VM that nothing told of, instead of one of `vm`. That one
  /// appeared where events are missing, and so did the thread, or behind that: a thread that entered a guest before any are missing is of a
  /// VM that was there then, and one that does so in the stretch in which a VM is seen to appear is taken to be of that.
  @inline(__always)
  private func mayBeOfOtherVM(_ thread: ThreadIndex, than vm: VMIndex) -> Bool {
    let first = threads[thread].firstEntryEpoch ?? clock.epoch
    if first == .beginning || first == vms[vm].knownFrom { return false }
    // Of a VM without slots and name nothing more is known than of one that is not there.
    if vms.roster.kvm(of: vm) == nil, vms[vm].vcpus.isEmpty { return false }
    let tid = threads[thread].tid
    return vms.creator(of: vm) != tid && vms[vm].identity.tids?.contains(tid) != true
  }

  /// A thread enters a guest. In a part of a recording it may have done so before, and before anything was missing.
  @inline(__always)
  mutating func noteFirstEntry(of thread: ThreadIndex) {
    guard threads[thread].firstEntryEpoch == nil else { return }
    let tid = threads[thread].tid
    let ranBefore = !threads[thread].sawEndOfVM && context.survey.markers.running.contains(tid)
    threads[thread].firstEntryEpoch = ranBefore ? .beginning : clock.epoch
  }

  /// A VM has ended whose vCPU a thread ran: from now on that is of another one.
  mutating func forgetEntries(of thread: ThreadIndex) {
    threads[thread].firstEntryEpoch = nil
    threads[thread].sawEndOfVM = true
  }

  /// A thread enters a guest before the part that is replayed.
  mutating func noteEntryAhead(of tid: ThreadID) {
    if let thread = threads.thread(tid) { noteFirstEntry(of: thread) }
  }

  /// A VM has ended before the part that is replayed, and whose vCPU a thread ran was not asked.
  mutating func forgetEntriesAhead() {
    for thread in threads.indices { forgetEntries(of: thread) }
  }

  /// The threads that ran guests before any event was missing, and of whose VMs none has ended since.
  var runningFromBeginning: [ThreadID] {
    threads.indices.filter { threads[$0].firstEntryEpoch == .beginning }.map { threads[$0].tid }.sorted()
  }

  /// A fault ends of a thread of which it is a guess that its vCPU is one of `vm`: it may have been a fault of any other.
  @inline(never)
  mutating func doubtOthers(than vm: VMIndex, since entry: Sequence) {
    for other in vms.live where other != vm {
      lookahead.settled.append(.unseenFault(since: entry, until: clock.now), other)
    }
  }

  /// A thread in a fault waits for the lock of the VM that it is taken to run a vCPU of. It does run one, if no other VM can have come to
  /// the address: another vCPU of this one runs on in the same stretch.
  @inline(never)
  mutating func settleVM(of thread: ThreadIndex, waitingFor lock: KernelAddress) {
    guard let vm = threads[thread].vcpu.vm, vms.roster.kvm(of: vm) == lock, !clock.isInGap else { return }
    let isThere = vms[vm].vcpus.contains { tid in
      threads.known(tid).map { !threads[$0].mayBeOfOtherVM && threads[$0].epoch == clock.epoch } ?? false
    }
    guard isThere else { return }
    threads[thread].mayBeOfOtherVM = false
    found.guessedVCPUs -= 1
  }
}
