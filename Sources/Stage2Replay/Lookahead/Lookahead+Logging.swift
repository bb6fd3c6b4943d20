internal import KVMTrace
internal import KVMTypes

// Dirty logging of a slot is switched on or off, which is in force a little before its commit says so.

extension Lookahead {
  /// Logging of a slot is switched at a commit. `kvm_swap_active_memslots` puts the new flags in force at some moment after
  /// `since`, and only then waits for the faults that found the old ones.
  ///
  /// - Parameter mayBeSplit: whether KVM may split the slot's blocks now.
  mutating func switchLogging(
    of slot: Memslot, vm: VMIndex, since: Sequence, mayBeSplit: Bool, _ threads: borrowing ThreadRegister,
    by tid: ThreadID, at now: Sequence
  ) {
    updateFaults(threads, where: { $0 == vm }) { fault in
      guard fault.slot?.base == slot.base, fault.end > since else { return }
      fault.evidence.isLoggingSwitched = true
    }
    if mayBeSplit { note(.loggingBegins, slot.frames, vm: vm, by: tid, at: now) }
  }

  /// Decides whether a fault around which its slot's logging was switched found it on, if what follows in the region tells: on, it
  /// mapped a page. Of blocks of PUD_SIZE that tells nothing, for they come and go with faults elsewhere.
  mutating func settleLogging(of id: FaultID, _ decision: inout FaultDecision, _ vm: VMIndex) {
    guard self[id].evidence.isLoggingSwitched, decision.mayPerform, self[id].node != nil,
      self[id].signs.contains(.blockFits), !sawPUDs
    else { return }
    decision.sizeProof = nil
    guard let proof = timelines.sizeProof(of: self[id]), proof.basis == .derived else { return }
    decision.sizeProof = proof
    if proof.isBlock {
      self[id].slot?.flags.remove(.logDirtyPages)
      if !self[id].isWrite { decision.isWrittenLater = timelines.laterWriteFault(on: self[id], of: vm) }
    } else if self[id].isOnBlock {
      self[id].slot?.flags.insert(.logDirtyPages)
    }
    decision.mayMapBlock = proof.isBlock
  }
}
