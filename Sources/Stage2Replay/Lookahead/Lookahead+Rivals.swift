internal import KVMTypes

// Whether others can have changed what a fault found or made, and which of two that share mmu_lock was first, as far as what follows
// tells.

extension Lookahead {
  /// Whether no other vCPU can have mapped the page of a fault, before or after it.
  func isAlone(_ fault: FaultID, of vm: VMIndex) -> Bool { timelines.isAlone(faults[fault], of: vm) }

  /// Whether nothing has taken the page of a fault away since, if it mapped that.
  @inline(__always)
  func isStillMapped(_ fault: FaultID) -> Bool { !timelines.isTaken(after: faults[fault], before: .pending) }

  /// Whether the leaf that a fault met was seen to be gone before `sequence`.
  func isLeafGone(after fault: FaultID, before sequence: Sequence) -> Bool {
    timelines.isLeafGone(after: faults[fault], before: sequence)
  }

  /// Whether a fault, that of the node, operated before another one of its region that shares the lock.
  func isFirstUnderReadLock(
    _ rival: FaultID, _ node: TimelineNode, of fault: FaultID, _ vm: VMIndex
  ) -> Bool {
    if faults[fault].findsBroken(by: faults[rival], pageSize), !faults[rival].mayBeInvalidated { return true }
    // Who has taken the page from itself comes back for that, and shows nothing of a rival that maps.
    if faults[fault].sawOwnUnmap, node.kind == .translationFault { return false }
    guard timelines.faultsAgain(faults[fault], before: node.end) else { return false }
    // Whom an unmap made retry says nothing of who is first; on one page that is taken to be the one that was under way already.
    return faults[fault].page == faults[rival].page || !comesToNothing(fault, vm)
  }

  /// Whether a fault is taken to come to nothing, such as where an unmap made it retry: then nobody operated before it.
  private func comesToNothing(_ fault: FaultID, _ vm: VMIndex) -> Bool {
    guard case .nothing = timelines.outcome(of: faults[fault], in: vm, isProtected: false, isMapped: false)
    else { return false }
    return true
  }

  /// What becomes of the mapping of a fault in whose window its slot was removed.
  @inline(__always)
  func fate(of id: FaultID, _ record: PendingRecord, _ vm: VMIndex) -> MappingFate {
    // Settled in its turn, it comes behind the removal that took what it mapped.
    if faults[id].signs.contains(.waits), faults.waits(of: id).removal != nil {
      return record.moment == nil ? .gone : .stays
    }
    return faults[id].node != nil && timelines.isMissing(after: faults[id], of: vm) ? .gone : .unclear
  }
}
