internal import KVMTrace
internal import KVMTypes

// Faults that never were.

extension TraceMutator {
  /// A vCPU takes one fault more: kvm_exit, kvm_guest_fault and kvm_entry at once, while it is in the guest.
  ///
  /// The fault is one on a page that is mapped with all rights, or with none of what the fault says. KVM would have
  /// changed nothing because of it: `map` finds the mapping and returns -EAGAIN, `relax_perms` adds what is there, or
  /// finds nothing. So what is asked is whether a walk or a stale TLB entry could have led to the fault.
  mutating func forge(_ kind: FaultKind, onMapped: Bool) -> Found? {
    let records = subject.trace.records
    guard let (_, _, model) = randomFault(), let thread = subject.threads[model.tid],
      model.fault.esr.isDataAbort, !model.fault.esr.isStage1Walk
    else { return nil }
    let place = below(thread.count - 1)
    guard records[thread[place]].kind == .entry, records[thread[place + 1]].kind == .exit else { return nil }
    let (entry, exit) = (thread[place], thread[place + 1])
    let before = entry + below(exit - entry)
    let position = subject.positions[before]
    guard let vm = vm(of: model.tid, at: position), let frame = frame(vm: vm, at: position) else {
      return nil
    }

    let history = subject.histories[vm]
    let found = history.leaf(frame, at: position)
    if onMapped ? found == nil : !history.isUnmapped(frame, at: position) { return nil }
    let isWrite = found?.leaf.isWritable ?? true
    let level: UInt64 = found?.isBlock ?? false ? 2 : 3
    // A 64-bit access with a valid syndrome.
    var esr: UInt64 = 0x24 << 26 | 1 << 25 | 1 << 24 | 3 << 22
    esr |= (kind == .permission ? 0x0c : 0x04) + level
    if isWrite { esr |= 1 << 6 }
    let ipa = GFN(frame).ipa(subject.execution.pageSize)
    let fault = GuestFault(
      ipa: ipa, esr: ESR(esr), far: GuestVA(0xffff_0000_0000_0000 | ipa.rawValue), pc: model.fault.pc)

    let cpu = records[entry].cpu
    let time = records[before].time
    var edit = TraceEdit()
    edit.inserted = (
      before,
      [
        TraceRecord(exitAt: time, cpu: cpu, tid: model.tid, exceptionClass: 0x24, pc: fault.pc),
        TraceRecord(fault: fault, at: time, cpu: cpu, tid: model.tid),
        TraceRecord(entryAt: time, cpu: cpu, tid: model.tid, pc: fault.pc),
      ]
    )
    let forged = ObservedFault(
      vm: vm, tid: model.tid, cpu: cpu, fault: fault, entry: subject.positions[entry], trap: position + 1,
      event: position + 2, end: position + 3, hasFailed: true)
    // Behind the new window, the vCPU's next fault was walked for after the new kvm_entry.
    var faults = subject.execution.vms[vm].faults
    for index in faults.indices
    where faults[index].tid == model.tid && faults[index].entry == subject.positions[entry] {
      faults[index].entry = position + 3
    }
    faults.append(forged)
    return (
      edit, "forged a \(describe(forged)) on a page that is \(onMapped ? "mapped" : "not mapped")",
      witness(vm: vm, faults: faults)
    )
  }

  /// The VM whose vCPU a thread runs, by the faults around.
  private func vm(of tid: ThreadID, at position: Position) -> Int? {
    subject.execution.vms.indices.first { vm in
      let faults = subject.execution.vms[vm].faults
      return faults.contains { $0.tid == tid && $0.end < position }
        && faults.contains { $0.tid == tid && $0.entry >= position }
    }
  }

  /// A frame of one of the VM's slots: mostly one that some fault concerned.
  private mutating func frame(vm: Int, at position: Position) -> UInt64? {
    let execution = subject.execution
    let faults = execution.vms[vm].faults
    let frame: UInt64
    if below(4) > 0, !faults.isEmpty {
      frame = faults[below(faults.count)].fault.ipa.gfn(execution.pageSize).rawValue
    } else {
      guard vm < execution.slots.slots.count, !execution.slots.slots[vm].isEmpty else { return nil }
      let slot = execution.slots.slots[vm][below(execution.slots.slots[vm].count)]
      frame = slot.frames.lowerBound + UInt64(below(slot.frames.count))
    }
    return execution.slots.slot(frame, vm: vm, at: position) == nil ? nil : frame
  }
}
