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
    // A commit between the two may be missing.
    let mayBeAgain = timelines.breaks.liesBetween(since, now)
    updateFaults(threads, where: { $0 == vm }, endingAfter: since) { fault in
      guard fault.slot?.base == slot.base, fault.end > since else { return }
      if fault.evidence.isLoggingSwitched || mayBeAgain { fault.evidence.isLoggingSwitchedAgain = true }
      fault.evidence.isLoggingSwitched = true
    }
    loggingSwitches.insert(
      LoggingSwitches.Switch(vm: vm, base: slot.base, isOn: slot.isLogging, since: since, commit: now),
      oldest: oldestWaiting(now))
    if mayBeSplit { note(.loggingBegins, slot.frames, vm: vm, by: tid, at: now) }
  }

  /// Logging of any slot may be switched at a commit that is missing, and with that be in force for faults since a place.
  mutating func doubtLogging(since: Sequence, _ threads: borrowing ThreadRegister) {
    updateFaults(threads, where: { _ in true }, endingAfter: since) { fault in
      guard fault.slot != nil else { return }
      fault.evidence.isLoggingSwitched = true
      fault.evidence.isLoggingSwitchedAgain = true
    }
  }

  /// Only the flags of a slot change, and logging is the one that can: until now it was the other way round, whatever was known of it.
  mutating func noteFlags(before slot: Memslot, of vm: VMIndex, in epoch: Epoch) {
    let isLogging = slot.flags.contains(.logDirtyPages)
    loggingSwitches.likely.note(!isLogging, slot: slot.base, of: vm, in: epoch)
  }

  /// Finds out what a fault found of its slot's logging that is open, before it is decided.
  @inline(never)
  mutating func findLogging(of id: FaultID, _ vm: VMIndex) {
    if self[id].evidence.mayLackCommit {
      takeLikelyFlags(id, vm)
    } else {
      orderAroundSwitch(id, vm)
    }
  }

  /// A fault in a slot of which a commit may be missing finds what is likely.
  private mutating func takeLikelyFlags(_ id: FaultID, _ vm: VMIndex) {
    guard let slot = self[id].slot else { return }
    let epoch = self[id].evidence.endEpoch
    // KVM does not write to a slot that is read-only.
    if self[id].isWrite, !self[id].sawMMIO, !self[id].failed { self[id].slot?.flags.remove(.readOnly) }
    if self[id].lacksWriteForNoReason {
      loggingSwitches.likely.note(true, slot: slot.base, of: vm, in: epoch)
    }
    if let isLogging = loggingSwitches.likely.logs(slot.base, of: vm, in: epoch) {
      self[id].slot?.flags[.logDirtyPages] = isLogging
    }
  }

  /// Decides whether a fault around which its slot's logging was switched found that before or after, if other faults tell.
  private mutating func orderAroundSwitch(_ id: FaultID, _ vm: VMIndex) {
    let fault = self[id]
    guard fault.evidence.isLoggingSwitched, let position = loggingSwitches.position(of: fault, vm)
    else { return }
    if loggingSwitches[position, vm].foundNew(fault) == nil { searchProof(for: id, position, vm) }
    guard let foundNew = loggingSwitches[position, vm].foundNew(fault) else { return }
    let isLogging = foundNew == loggingSwitches[position, vm].isOn
    self[id].slot?.flags[.logDirtyPages] = isLogging
    self[id].evidence.isLoggingSwitched = false
  }

  /// Searches the faults that wait behind one, the last first, for one that is proven to have found the old flags. That costs as much
  /// as there are, so where none is, a share of them is settled before they are searched again.
  private mutating func searchProof(for id: FaultID, _ position: Int, _ vm: VMIndex) {
    guard loggingSwitches[position, vm].untilSearch == 0 else {
      loggingSwitches[position, vm].untilSearch -= 1
      return
    }
    let lastEnd = loggingSwitches[position, vm].lastEnd
    for place in positions(after: self[id].end, upTo: lastEnd).reversed() {
      guard let (later, owner) = waitingFault(at: place), owner == vm, self[later].begin >= self[id].end,
        self[later].evidence.isLoggingSwitched, loggingSwitches.position(of: self[later], vm) == position,
        provenLogging(later, vm) == !loggingSwitches[position, vm].isOn,
        !followsRival(later)
      else { continue }
      // Who may have mapped in its stead began later.
      loggingSwitches[position, vm].foundOld = self[later].begin
      break
    }
    loggingSwitches[position, vm].untilSearch = waitingCount / Self.shareBetweenSearches
  }

  /// What part of the faults that wait is settled before they are searched once more.
  private static var shareBetweenSearches: Int { 16 }

  /// Whether a fault, or one that it races with, is proven to have found logging on (true) or off (false): by the size of what was
  /// mapped: off, a block; on, a page where the host has a block.
  @inline(__always)
  private func provenLogging(_ id: FaultID, _ vm: VMIndex) -> Bool? {
    guard self[id].node != nil, self[id].signs.contains(.blockFits), !sawPUDs,
      self[id].evidence.unmapOfRegion == .none,
      case .performed(.derived) = self[id].outcome(isProtected: false),
      let proof = timelines.sizeProof(of: self[id]), proof.basis == .derived
    else { return nil }
    if proof.isBlock { return false }
    return self[id].isOnBlock || hostHasBlock(around: id, vm) ? true : nil
  }

  /// Whether the host is known to have a block behind the page of a fault: an earlier one of the region met it, and nothing of the
  /// region was unmapped since that one's vCPU had entered.
  private func hostHasBlock(around id: FaultID, _ vm: VMIndex) -> Bool {
    guard let region = self[id].evidence.region,
      let entry = timelines.entryOfBlockFault(before: self[id]),
      !timelines.breaks.liesBetween(entry, self[id].begin)
    else { return false }
    return regions[region, of: vm].lastUnmap < entry
  }

  /// Whether the walk of a fault's vCPU may have come before what another one mapped.
  private func followsRival(_ id: FaultID) -> Bool {
    guard let node = self[id].node else { return true }
    return timelines[node].followsRival
  }

  /// Decides whether a fault of which that is open found logging on, if what follows in the region tells: on, it mapped a page. Of blocks of PUD_SIZE that tells nothing, for they come and go with faults elsewhere.
  mutating func settleLogging(of id: FaultID, _ decision: inout FaultDecision, _ vm: VMIndex) {
    guard self[id].evidence.isLoggingOpen, decision.mayPerform, self[id].node != nil,
      self[id].signs.contains(.blockFits), !sawPUDs
    else { return }
    decision.sizeProof = nil
    guard let proof = timelines.sizeProof(of: self[id]), proof.basis == .derived else { return }
    if self[id].evidence.mayLackCommit { noteLikely(id, vm) } else { noteProof(of: id, vm) }
    decision.sizeProof = proof
    if proof.isBlock {
      self[id].slot?.flags.remove(.logDirtyPages)
      if !self[id].isWrite { decision.isWrittenLater = timelines.laterWriteFault(on: self[id], of: vm) }
    } else if self[id].isOnBlock {
      self[id].slot?.flags.insert(.logDirtyPages)
    }
    decision.mayMapBlock = proof.isBlock
  }

  /// A fault is proven to have found logging on, or off, in a slot of which a commit may be missing: so others do, likely.
  private mutating func noteLikely(_ id: FaultID, _ vm: VMIndex) {
    guard let base = self[id].slot?.base, let isLogging = provenLogging(id, vm) else { return }
    loggingSwitches.likely.note(isLogging, slot: base, of: vm, in: self[id].evidence.endEpoch)
  }

  /// A fault that is proven to have found the new flags, or one of those whose windows were open when it began: what begins after all
  /// of them found the new ones, too.
  private mutating func noteProof(of id: FaultID, _ vm: VMIndex) {
    guard let position = loggingSwitches.position(of: self[id], vm),
      provenLogging(id, vm) == loggingSwitches[position, vm].isOn
    else { return }
    let end = timelines.endOfRivals(of: self[id])
    loggingSwitches[position, vm].foundNew = min(loggingSwitches[position, vm].foundNew, end)
  }
}

extension FaultWindow {
  /// Whether it lacked the right to write though nothing was unmapped about it: reading what nobody wrote maps for reading alone, too,
  /// but then the page is copied. Logging takes the right away, and leaves the page.
  fileprivate var lacksWriteForNoReason: Bool {
    kind == .permission && isWrite && !sawOwnUnmap && !mayBeInvalidated && !isRepeated && !sawMMIO && !failed
      && evidence.unmapOfRegion == .none
  }
}
