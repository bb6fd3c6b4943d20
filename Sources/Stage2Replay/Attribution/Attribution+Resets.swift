internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// vCPUs that the VMM initialises again, as it does when it resets its machine or loads another state into it
// (KVM_ARM_VCPU_INIT, `kvm_arch_vcpu_ioctl_vcpu_init`): without FEAT_S2FWB that unmaps all slots, once for each vCPU that
// has run, and leaves no event.
//
// What shows it: all vCPUs of the VM had left KVM_RUN; those that enter again go on elsewhere than where they left, which only the VMM
// can bring about; and the first thing that one of them does there, fetching its instruction, takes a translation fault whose walk
// stops where nothing is mapped at all. Which of them is the first to enter says nothing of which is the first to fetch. PSCI's
// CPU_ON sets a vCPU's registers, too, but it unmaps nothing, and the vCPU that calls for it is in KVM_RUN.

extension Attribution {
  /// A vCPU's thread leaves KVM_RUN: it may be the last of its VM to do so. Where it had only completed the guest's read of a
  /// device, that was before the vCPU was initialised, whose registers and instruction it would have changed otherwise. Of
  /// other calls that return at once it is not known whether they came before or after.
  @inline(__always)
  mutating func noteStop(of thread: ThreadIndex, _ record: TraceRecord) {
    // One that was made to go on elsewhere and has executed nothing since does not show when.
    guard threads[thread].jump == nil, let vm = threads[thread].vcpu.vm else { return }
    let tid = vms.creator(of: vm) ?? record.tid
    vms[vm].resets.leaveRun(
      VMStop(
        sequence: clock.now, time: record.time, cpu: record.cpu, tid: tid, place: threads.place(of: tid)))
  }

  /// A vCPU enters from outside KVM_RUN and goes on at `pc`, which is elsewhere than where it left.
  @inline(never)
  mutating func noteJump(of thread: ThreadIndex, to pc: GuestVA) {
    threads[thread].jump = nil
    // The VMM made it go on elsewhere: that it faults again where it did says nothing of its last fault.
    threads[thread].vcpu.lastFault = nil
    // kvm_stage2_unmap_range leaves a protected guest alone.
    guard !context.profile.profile.hasFWB, let vm = threads[thread].vcpu.vm, !vms[vm].isGone,
      !vms[vm].identity.isProtected, let stop = vms[vm].resets.stop
    else { return }
    // More threads than a VM has vCPUs are not all its own.
    if vms[vm].vcpus.count > VCPUReset.vcpusMax { return }
    // The thread may run a vCPU of a VM that its process made meanwhile.
    let creator = vms.creator(of: vm)
    let isOfOther = vms.live.contains { other in
      other != vm && vms.creator(of: other) == creator && vms[other].identity.since > stop.time
    }
    if isOfOther { return }
    let haveAllStopped = vms[vm].vcpus.allSatisfy { tid in
      guard let other = threads.known(tid), threads[other].vcpu.vm == vm else { return true }
      return threads[other].vcpu.isInUserspace || threads[other].jump != nil
    }
    if haveAllStopped { threads[thread].jump = pc }
  }

  /// The vCPU leaves the guest again: if it got on, what it executed was mapped.
  @inline(never)
  mutating func goOn(_ thread: ThreadIndex, at pc: GuestVA) {
    if threads[thread].jump != pc { threads[thread].jump = nil }
  }

  /// The first fault of a vCPU since it went on elsewhere.
  @inline(never)
  mutating func settleJump(
    of thread: ThreadIndex, _ fault: GuestFault, _ vm: VMIndex, _ record: TraceRecord
  ) {
    let pc = threads[thread].jump
    threads[thread].jump = nil
    guard threads[thread].vcpu.vm == vm, fault.pc == pc, threads[thread].vcpu.entryEpoch == clock.epoch,
      !clock.isInGap, let stop = vms[vm].resets.stop,
      let level = vms[vm].resets.emptyLevel(
        at: fault, startLevel: startLevel(of: vm), wasRunning: vms[vm].identity.wasRunning)
    else { return }
    let page = fault.ipa.alignedDown(to: context.pageSize.bytes)
    let slots = slotsByChange(of: vm)
    for slot in slots {
      // Behind all faults before, and ahead of the one that comes.
      lookahead.note(
        .unmap, FrameRange(start: slot.base, end: slot.end), vm: vm, by: record.tid,
        at: threads[thread].vcpu.lastEntry)
    }
    boundTimelines()
    let vcpus = startedVCPUs(of: vm)
    vms[vm].resets.note(vcpus: vcpus)
    lookahead.insert(
      VCPUReset(vcpus: vcpus, slots: slots, page: page, level: level),
      PendingRecord(
        action: .reset, vm: vm, sequence: stop.sequence, time: stop.time, cpu: stop.cpu,
        tid: stop.tid, place: stop.place), vms)
    // The others go on where the VMM says, too.
    for tid in vms[vm].vcpus {
      if let other = threads.known(tid), other != thread { threads[other].order.forgetExit() }
    }
  }

  /// The level of the tables with which walks of a VM's memory begin: on the traditional path a property of the VM
  /// that its first faults show.
  private func startLevel(of vm: VMIndex) -> TranslationLevel {
    let known = context.profile.geometry.startLevel
    if context.profile.isPKVM || vms[vm].identity.wasRunning { return known }
    return vms[vm].vcpus.compactMap { context.survey.lowestLevels[$0] }.min() ?? known
  }

  /// The slots of a VM in the order in which they were changed last.
  private func slotsByChange(of vm: VMIndex) -> [Memslot] {
    let table = vms[vm].slots.table
    return vms[vm].slots.history.filter { table.slot($0.base) == $0 }
  }

  /// The vCPUs of a VM for which KVM_RUN was called: those that faulted, and those that were only seen to enter or to leave.
  private func startedVCPUs(of vm: VMIndex) -> Int {
    var count = 0
    for thread in threads.indices {
      let vcpu = threads[thread].vcpu
      if vcpu.lastEntry == .start, !vcpu.isInUserspace { continue }
      if vcpu.vm ?? vms.owner(ofThread: threads[thread].tid, vcpuEvidence) == vm { count += 1 }
    }
    return min(count, VCPUReset.vcpusMax)
  }
}
