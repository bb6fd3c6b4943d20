internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

// Divergences that more than one fault decides, and how all of them are put down.

extension Replayer where Backend: ~Copyable {
  // MARK: Accesses to slots

  /// kvm_mmio where a slot is: none is known to be there, or the slot is on its way out.
  func isAccessToSlot(_ fault: FaultRecord) -> Bool {
    guard fault.sawMMIO, let slot = fault.slot else { return false }
    return !(fault.isWrite && slot.flags.contains(.readOnly))
  }

  /// A slot that is being deleted or moved is out of force a while before its commit, and the trace tells the commit
  /// alone: whether it comes is waited for.
  mutating func holdBack(_ fault: FaultRecord, _ record: PendingRecord) {
    let vm = vms[record.vm]
    if let reason = reasonUnknown(fault) {
      // The fault's own end may be missing, and the beginning of what kvm_mmio speaks of.
      log(.unknown(.mmioLiesOutsideSlots, reason), fault, record, nil, vm)
    } else if fault.evidence.isSlotRemoved
      || vm.removals.contains(where: { $0.covers(fault, profile.pageSize) })
    {
      log(.explained(.mmioLiesOutsideSlots, .untracedChange), fault, record, nil, vm)
    } else if vm.heldBack.count < GuestVM<Backend>.heldBackMax {
      vm.heldBack.append(HeldBackFault(fault: fault, record: record))
    } else {
      log(.unknown(.mmioLiesOutsideSlots), fault, record, nil, vm)
    }
  }

  /// The slot is still in force, as another fault shows: nothing was deleting it.
  mutating func confirmHeldBack(before fault: FaultRecord, _ slot: Memslot, _ vm: Int) {
    guard !fault.sawMMIO else { return }
    let vm = vms[vm]
    let held = vm.heldBack
    vm.heldBack.removeAll { $0.fault.slot?.base == slot.base && fault.evidence.entry >= $0.fault.end }
    for entry in held where entry.fault.slot?.base == slot.base && fault.evidence.entry >= entry.fault.end {
      let isAssumed = vm.slotBasis == .assumed
      log(
        isAssumed ? .unknown(.mmioLiesOutsideSlots) : .unexplained(.mmioLiesOutsideSlots), entry.fault,
        entry.record, nil, vm)
    }
  }

  /// A slot is gone, which accounts for accesses to it since its removal began.
  mutating func settleHeldBack(_ record: PendingRecord) {
    let vm = vms[record.vm]
    let pageSize = profile.pageSize
    guard let removal = vm.removals.first(where: { $0.sequence == record.sequence }) else { return }
    for entry in vm.heldBack where removal.covers(entry.fault, pageSize) {
      log(.explained(.mmioLiesOutsideSlots, .untracedChange), entry.fault, entry.record, nil, vm)
    }
    vm.heldBack.removeAll { removal.covers($0.fault, pageSize) }
    vm.removals.removeAll { $0.sequence <= record.sequence }
  }

  // MARK: The end

  /// What runs of faults led nowhere, and what never was settled.
  mutating func finishChecks() {
    for vm in vms {
      for vcpu in vm.progress.indices {
        if let run = vm.progress[vcpu].progress.end(), let last = vm.progress[vcpu].last {
          log(run, last, vm.id)
        }
      }
      for entry in vm.heldBack {
        log(.unknown(.mmioLiesOutsideSlots, .untracedChange), entry.fault, entry.record, nil, vm)
      }
    }
  }

  /// Notes how a fault ended, for rule L1.
  mutating func noteProgress(
    _ fault: FaultRecord, _ record: PendingRecord, _ vm: GuestVM<Backend>, contradicts: Bool, isRetried: Bool,
    isBarren: Bool
  ) {
    if fault.vcpu < vm.progress.count { vm.progress[fault.vcpu].barren = nil }
    if !contradicts, !isRetried, !isBarren,
      fault.vcpu >= vm.progress.count || vm.progress[fault.vcpu].last == nil
    {
      return
    }
    while vm.progress.count <= fault.vcpu { vm.progress.append(VCPUProgress()) }
    if isBarren { vm.progress[fault.vcpu].barren = BarrenFault(fault) }
    let run = vm.progress[fault.vcpu].progress.note(
      fault.page, fault.kind, isWrite: fault.isWrite, isExec: fault.isExec, contradicts: contradicts,
      isRetried: isRetried)
    if let run, let last = vm.progress[fault.vcpu].last { log(run, last, record.vm) }
    vm.progress[fault.vcpu].last =
      contradicts || isRetried
      ? FaultPlace(time: record.time, cpu: fault.cpu, tid: fault.tid, region: fault.evidence.region) : nil
  }

  mutating func log(_ run: FaultProgress.Run, _ last: FaultPlace, _ vm: Int) {
    let regions = vms[vm].regions
    divergences.note(run.judgement, vm: vm, block: run.page.rawValue / profile.pageSize.pmdBytes) {
      judgement in
      Divergence(
        rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception,
        time: last.time,
        cpu: last.cpu, tid: last.tid, vm: vm, ipa: run.page, expected: judgement.rule.statement,
        observed: "\(run.faults) faults in a row on one page, for one reason", basis: .derived, count: 1,
        state: nil,
        recentEvents: last.region >= 0 ? regions.recentEvents(last.region) : [])
    }
  }

  mutating func log(
    _ judgement: Judgement, _ fault: FaultRecord, _ record: PendingRecord, _ walk: Stage2Walk?,
    _ vm: GuestVM<Backend>
  ) {
    divergences.note(
      judgement, vm: record.vm, block: fault.page.rawValue / profile.pageSize.pmdBytes
    ) { judgement in
      Divergence(
        rule: judgement.rule, verdict: judgement.verdict, exception: judgement.exception, time: record.time,
        cpu: fault.cpu, tid: fault.tid, vm: record.vm, ipa: fault.page,
        expected: DivergenceWords.expectation(judgement.rule, walk), observed: DivergenceWords.fault(fault),
        basis: judgement.verdict == .unknown ? .assumed : .derived, count: 1, state: walk,
        recentEvents: judgement.verdict != .explained && fault.evidence.region >= 0
          ? vm.regions.recentEvents(fault.evidence.region) : [])
    }
  }
}
