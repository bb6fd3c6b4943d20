internal import KVMTrace
internal import KVMTypes

/// What would have happened to one VM, in full: every change of its table, and every fault of its vCPUs.
package struct VMExecution {
  var vm: Int
  /// The changes; nil for one that would not have been made.
  var changes: [TableChange?]
  var faults: [ObservedFault]
  /// Unmaps that the host would not have announced.
  var removedUnmaps: Set<Position> = []

  mutating func add(_ kind: TableChange.Kind, _ frames: Range<UInt64>, by fault: ObservedFault) {
    changes.append(
      TableChange(
        kind: kind, frames: frames, tid: fault.tid, cpu: fault.cpu, from: fault.event, to: fault.end))
  }
}

/// Whether a kernel can have executed something, and what it may have done besides what is known.
///
/// An execution is possible if each of its faults meets a table whose walk ends as the fault says. Where one does not,
/// the execution may still be had with a change that leaves no event, of which there are few. Each is tried where it
/// helps, and then everything is checked anew.
struct ExecutionRepair {
  let subject: MutationSubject
  private var recorded: RecordedExecution { subject.execution }
  /// More than a few faults do not become possible by one change.
  private static let faultsMax = 8
  private static let roundsMax = 6

  func isPossible(_ execution: VMExecution) -> Bool {
    var execution = execution
    if recorded.leavesRetryWithoutUnmap(execution) { return false }
    for _ in 0..<Self.roundsMax {
      let impossible = recorded.check(execution.changes.compactMap { $0 }, execution.faults)
      if impossible.isEmpty { return true }
      guard impossible.count <= Self.faultsMax, let first = impossible.min(by: { $0.event < $1.event }),
        repair(first, &execution)
      else { return false }
    }
    return false
  }

  private func repair(_ fault: ObservedFault, _ execution: inout VMExecution) -> Bool {
    switch fault.fault.esr.faultKind {
    case .translation:
      retryEarlierFault(fault, &execution) || delayUnmap(fault, until: fault.trap, &execution)
        || mapWithoutEvent(fault, &execution)
    case .permission:
      fault.fault.esr.isWrite && takeRight(fault, &execution)
        || delayUnmap(fault, until: fault.event, &execution)
    default: false
    }
  }

  private func frame(_ fault: ObservedFault) -> UInt64 { fault.fault.ipa.gfn(recorded.pageSize).rawValue }

  /// The change that mapped the page of a fault, as it is seen from there.
  private func mapping(_ fault: ObservedFault, _ execution: VMExecution) -> (index: Int, prot: Stage2Prot)? {
    var found: (index: Int, prot: Stage2Prot, to: Position)?
    for (index, change) in execution.changes.enumerated() {
      guard let change, case .map(let prot) = change.kind, change.frames.contains(frame(fault)),
        change.from <= fault.trap, change.to > found?.to ?? .min
      else { continue }
      found = (index, prot, change.to)
    }
    return found.map { ($0.index, $0.prot) }
  }

  /// The page is mapped: but by a fault that an unmap may have made retry (`mmu_invalidate_retry`), so that this one
  /// maps it. The other vCPU must not have got on meanwhile: it faults again, or finds the page mapped by this fault.
  private func retryEarlierFault(_ fault: ObservedFault, _ execution: inout VMExecution) -> Bool {
    guard let (index, prot) = mapping(fault, execution),
      let earlier = execution.faults.first(where: { $0.changes.contains(index) }), earlier.end <= fault.trap
    else { return false }
    let mayRetry = recorded.unmaps.contains {
      !execution.removedUnmaps.contains($0.event) && $0.canRetry(earlier)
    }
    guard mayRetry, !subject.trapped(earlier.tid, after: earlier.end, before: fault.trap),
      let change = execution.changes[index]
    else { return false }
    execution.changes[index] = nil
    execution.add(.map(prot: prot), change.frames, by: fault)
    return true
  }

  /// The page is mapped, or not mapped any more: but an unmap announces itself before it has the VM's lock, and its
  /// thread may be held up in between as long as it makes no other event.
  private func delayUnmap(
    _ fault: ObservedFault, until position: Position, _ execution: inout VMExecution
  ) -> Bool {
    for unmap in recorded.unmaps.reversed()
    where unmap.vm == execution.vm && unmap.event < position && unmap.limit >= position {
      for (_, index) in recorded.notifierChanges[unmap.event] ?? [] {
        guard let change = execution.changes[index], change.frames.contains(frame(fault)),
          change.to < position
        else { continue }
        execution.changes[index]!.from = position
        execution.changes[index]!.to = position
        return true
      }
    }
    return false
  }

  /// A table is there that nothing is known to need: on the traditional path, the kernel maps the CPU interface of an
  /// emulated GICv2 itself (`kvm_phys_addr_ioremap`), once, before the first vCPU runs, and outside all slots.
  private func mapWithoutEvent(_ fault: ObservedFault, _ execution: inout VMExecution) -> Bool {
    guard !recorded.isPKVM, let level = fault.fault.esr.level, level >= .l1 else { return false }
    let pageSize = recorded.pageSize
    let bytes = pageSize.granule(TranslationLevel(level.rawValue - 1))
    let first = fault.fault.ipa.alignedDown(to: bytes).gfn(pageSize).rawValue
    let slots = recorded.slots.slots.indices.contains(execution.vm) ? recorded.slots.slots[execution.vm] : []
    var room = first
    for slot in slots.sorted(by: { $0.frames.lowerBound < $1.frames.lowerBound })
    where slot.frames.contains(room) { room = slot.frames.upperBound }
    guard room < first + bytes >> pageSize.shift else { return false }
    execution.changes.append(
      TableChange(
        kind: .map(prot: .rw), frames: room..<(room + 1), tid: fault.tid, cpu: fault.cpu, from: .min, to: .min
      ))
    return true
  }

  /// The page can be written: but the VMM may have had it write-protected where dirty pages are logged
  /// (`KVM_CLEAR_DIRTY_LOG`), and the host may have had it for reading only when it was read first.
  private func takeRight(_ fault: ObservedFault, _ execution: inout VMExecution) -> Bool {
    guard let (index, prot) = mapping(fault, execution), let change = execution.changes[index] else {
      return false
    }
    let page = frame(fault)..<(frame(fault) + 1)
    let slot = recorded.slots.slot(frame(fault), vm: execution.vm, at: fault.event)
    if slot?.flags.contains(.logDirtyPages) ?? false, change.frames.count == 1 {
      execution.changes.append(
        TableChange(
          kind: .writeProtect, frames: page, tid: fault.tid, cpu: fault.cpu, from: fault.entry, to: fault.trap
        ))
    } else {
      let mapper = execution.faults.first { $0.changes.contains(index) }
      guard let mapper, !mapper.fault.esr.isWrite, prot.contains(.write) else { return false }
      execution.changes[index]!.kind = .map(prot: prot.subtracting(.write))
    }
    execution.add(.relax(prot: .write), page, by: fault)
    return true
  }
}

extension MutationSubject {
  /// Whether a thread left the guest by a trap between two moments: it had got on, then.
  func trapped(_ tid: ThreadID, after begin: Position, before end: Position) -> Bool {
    guard let thread = threads[tid] else { return false }
    let first = place(of: record(at: begin + 1), in: thread)
    for index in thread[first...] {
      if positions[index] >= end { return false }
      let record = trace.records[index]
      if record.kind == .exit, record.vcpuExit.isTrap { return true }
    }
    return false
  }
}
