internal import KVMTrace
internal import KVMTypes

// Faults that are left out or changed.

extension TraceMutator {
  /// The kvm_guest_fault alone is left out.
  ///
  /// `kvm_handle_guest_abort` announces every abort but external ones, and those that it announces it has decided by
  /// the next kvm_entry. So a trap with the class of an abort and no kvm_guest_fault is none of KVM's.
  mutating func dropFaultEvent() -> Found? {
    guard let (_, _, fault) = randomFault() else { return nil }
    var edit = TraceEdit()
    edit.removed = [subject.record(at: fault.event)]
    return (edit, "left out the event of a \(describe(fault))", .none("an abort is announced"))
  }

  /// A fault is left out with everything that its thread recorded from kvm_exit to kvm_entry: the guest ran on.
  ///
  /// The guest might just not have made that access. Then KVM did nothing of what it did in that window.
  mutating func dropFaultWindow() -> Found? {
    guard let (vm, index, fault) = randomFault(), let thread = subject.threads[fault.tid] else { return nil }
    let records = subject.trace.records
    let first = subject.place(of: subject.record(at: fault.trap), in: thread)
    guard fault.trap > fault.entry, records[thread[first]].kind == .exit,
      let last = thread[first...].firstIndex(where: { records[$0].kind == .entry })
    else { return nil }
    let window = thread[first...last]
    // What the VMM does between KVM_RUN and KVM_RUN cannot be left out, and not stay either.
    let afterReturn = window.drop { records[$0].kind != .userspaceExit }.dropFirst().dropLast()
    if !afterReturn.isEmpty || window.contains(where: { records[$0].kind == .commitMemoryRegion }) {
      return nil
    }
    var edit = TraceEdit()
    edit.removed = Set(window)

    var removed = Set(fault.changes)
    var removedUnmaps: Set<Position> = []
    for record in window where records[record].kind.isNotifier {
      let position = subject.positions[record]
      removedUnmaps.insert(position)
      for (other, change) in subject.execution.notifierChanges[position] ?? [] {
        if other != vm { return nil }
        removed.insert(change)
      }
    }
    let entry = subject.positions[thread[last]]
    var faults = faults(vm, replacing: index, by: nil)
    for position in faults.indices where faults[position].tid == fault.tid && faults[position].entry == entry
    {
      faults[position].entry = fault.entry
    }
    return (
      edit, "left out the window of a \(describe(fault))",
      witness(vm: vm, without: removed, faults: faults, removedUnmaps: removedUnmaps)
    )
  }

  /// A fault claims that the walk stopped at another level.
  ///
  /// KVM does the same about it: only a permission fault's level counts, against the size that it maps, and then the
  /// fault does not fit the table either. So what is asked is whether another level was there in the vCPU's window.
  mutating func changeLevel() -> Found? {
    guard let (vm, index, fault) = randomFault(), let level = fault.fault.esr.level, level.rawValue >= 0,
      !fault.fault.esr.isStage1Walk
    else { return nil }
    var changed = fault
    let other = UInt64((Int(level.rawValue) + 1 + below(3)) & 3)
    changed.fault.esr = ESR(fault.fault.esr.rawValue & ~3 | other)
    let record = subject.record(at: fault.event)
    var edit = TraceEdit()
    edit.replaced[record] = subject.trace.records[record].with(fault: changed.fault)
    return (
      edit, "called a \(describe(fault)) one of level \(other)",
      witness(vm: vm, faults: faults(vm, replacing: index, by: changed))
    )
  }

  /// A fault happens `bytes` further up or down.
  ///
  /// KVM would have done there what it did here: the guest might have accessed that page instead. It must lie in a
  /// slot like that of the other one; what KVM said of the address must not contradict it.
  mutating func shift(by bytes: UInt64) -> Found? {
    guard let (vm, index, fault) = randomFault() else { return nil }
    let isUp = below(2) == 0
    let address = fault.fault.ipa.rawValue
    guard isUp || address >= bytes else { return nil }
    var changed = fault
    changed.fault.ipa = IPA(isUp ? address + bytes : address - bytes)
    let record = subject.record(at: fault.event)
    var edit = TraceEdit()
    edit.replaced[record] = subject.trace.records[record].with(fault: changed.fault)
    let summary = "moved a \(describe(fault)) to \(String(changed.fault.ipa.rawValue, radix: 16))"
    if fault.hasMMIO || fault.hasAccessFaultEvent {
      return (edit, summary, .none("another event of the window tells the address"))
    }

    let execution = subject.execution
    let oldFrame = fault.fault.ipa.gfn(execution.pageSize).rawValue
    let newFrame = changed.fault.ipa.gfn(execution.pageSize).rawValue
    let old = execution.slots.slot(oldFrame, vm: vm, at: fault.event)
    guard let old, let new = execution.slots.slot(newFrame, vm: vm, at: fault.event), new.flags == old.flags
    else { return (edit, summary, .none("another fate awaits a fault outside the slot")) }
    var replaced: [Int: TableChange] = [:]
    for change in fault.changes {
      var moved = execution.vms[vm].changes[change]
      if moved.frames.count > 1 {
        let size = UInt64(moved.frames.count)
        let start = newFrame / size * size
        guard new.frames.contains(start), new.frames.contains(start + size - 1) else {
          return (edit, summary, .none("no block fits there"))
        }
        moved.frames = start..<(start + size)
      } else if !moved.frames.isEmpty {
        moved.frames = newFrame..<(newFrame + 1)
      }
      replaced[change] = moved
    }
    return (
      edit, summary,
      witness(vm: vm, replacing: replaced, faults: faults(vm, replacing: index, by: changed))
    )
  }

  /// A kvm_access_fault is left out: `kvm_handle_guest_abort` emits it for every access flag fault in a slot.
  ///
  /// If it is the only one, the event might as well not have been traced.
  mutating func dropAccessFaultEvent() -> Found? {
    guard let record = randomRecord({ $0.kind == .accessFault }) else { return nil }
    var edit = TraceEdit()
    edit.removed = [record]
    let isOnly = subject.trace.records.count { $0.kind == .accessFault } == 1
    return (
      edit, "left out a kvm_access_fault",
      isOnly ? .order("the event is not traced") : .none("an access flag fault in a slot is announced twice")
    )
  }

  /// Two vCPUs swap faults that follow each other: kvm_exit, kvm_guest_fault and the next kvm_entry's pc.
  ///
  /// Each guest access might have been made by the other vCPU. KVM's operations move along with the faults.
  mutating func swapFaults() -> Found? {
    guard let (vm, index, first) = randomFault() else { return nil }
    let all = subject.execution.vms[vm].faults
    guard let other = all[(index + 1)...].prefix(8).firstIndex(where: { $0.tid != first.tid }) else {
      return nil
    }
    let second = all[other]
    func isPlain(_ fault: ObservedFault) -> Bool {
      !fault.hasMMIO && !fault.hasAccessFaultEvent && !fault.hasOwnUnmap && !fault.hasFailed
        && fault.trap > fault.entry && fault.end < .max
    }
    guard isPlain(first), isPlain(second), first.fault.ipa != second.fault.ipa,
      first.changes.count == second.changes.count
    else { return nil }
    let records = subject.trace.records
    var edit = TraceEdit()
    for (a, b) in [(first, second), (second, first)] {
      for (here, there) in [(a.trap, b.trap), (a.event, b.event)] {
        let (here, there) = (subject.record(at: here), subject.record(at: there))
        edit.replaced[here] = records[there].moved(to: records[here])
      }
      let (here, there) = (subject.record(at: a.end), subject.record(at: b.end))
      guard records[here].kind == .entry, records[there].kind == .entry else { return nil }
      edit.replaced[here] = records[there].moved(to: records[here])
    }

    var faults = all
    (faults[index].fault, faults[other].fault) = (second.fault, first.fault)
    var replaced: [Int: TableChange] = [:]
    for (a, b) in zip(first.changes, second.changes) {
      var (here, there) = (subject.execution.vms[vm].changes[a], subject.execution.vms[vm].changes[b])
      swap(&here.kind, &there.kind)
      swap(&here.frames, &there.frames)
      (replaced[a], replaced[b]) = (here, there)
    }
    return (
      edit, "swapped a \(describe(first)) with a \(describe(second)) of another vCPU",
      witness(vm: vm, replacing: replaced, faults: faults)
    )
  }
}
