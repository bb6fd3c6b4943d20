internal import KVMTrace
internal import KVMTypes

// What became of a fault, by its window and by what followed in its region.

extension FaultWindow {
  /// Whether the right that the fault asks for, once granted, stays with the leaf as long as it is mapped: only logging
  /// takes one away again, that to write.
  fileprivate func keepsRight(in slot: Memslot) -> Bool {
    kind == .permission && !(isWrite && (slot.isLogging || evidence.mayLackCommit))
  }
}

extension FaultWindow {
  /// Whether an unmap comes after the operation of this fault, if there was one: what its own thread unmapped before it would
  /// have made it retry.
  @inline(__always)
  func isFollowed(by unmap: TimelineNode) -> Bool {
    unmap.sequence > end || sawOwnReclaim && unmap.tid == tid && unmap.sequence > begin
  }
}

extension FaultWindow {
  /// What became of the fault, as its window alone tells; nil where that leaves it open.
  ///
  /// Between the event and the operation stands one silent exit: `mmu_invalidate_retry`, which lets the guest fault
  /// again if memory of the VM, any of it, was unmapped since the fault looked at the host's table. (Where memory has failed,
  /// the signal shows: `kvm_send_hwpoison_signal`.) So a fault with no
  /// unmap in reach performed its operation. One with an unmap in reach is decided by the next vCPU that enters after
  /// its window and faults on the page: it walks the table as this fault left it.
  ///
  /// - Parameter isProtected: whether the guest is protected. Nothing makes its fault retry: what `pkvm_mem_abort` pins
  ///   is its own, so it looks at no sequence number.
  @inline(__always)
  func outcome(isProtected: Bool) -> FaultOutcome? {
    guard let slot else { return .nothing(.noSlot) }
    if isWrite, slot.flags.contains(.readOnly) { return .nothing(.readOnlySlot) }
    switch kind {
    case .accessFlag: return .mkyoung
    case .translation, .permission: break
    default: return .nothing(.otherFault)
    }
    if sawMMIO { return .nothing(.noSlot) }
    if failed { return .nothing(.failed) }
    // Where events are missing, what ended the window may be among them, and what made the fault retry.
    let basis: Basis = reasonUnknown == nil ? .derived : .assumed
    if isProtected { return .performed(basis) }
    if gotException { return .nothing(.gotException) }
    // user_mem_abort samples mmu_invalidate_seq before it pins the page; an unmap of the page by its own thread comes from
    // the pinning, so the check under the lock fails. What the thread reclaims it may as well reclaim on its way back to
    // the guest (mem_cgroup_handle_over_high).
    if sawOwnUnmap { return .nothing(.ownUnmap) }
    if evidence.isReplaced { return .nothing(.faultedAgain) }
    if mayBeInvalidated { return nil }
    return .performed(signs.contains(.leavingSlot) ? .assumed : basis)
  }
}

extension TimelineNode {
  /// Whether the vCPU lacks the same right to the same leaf as in `fault`, on the CPU that did what was done then:
  /// relax_perms rids that CPU's TLB of the leaf, and no other's.
  fileprivate func isSameFault(as fault: FaultWindow) -> Bool {
    kind == .permissionFault && level == fault.level && isWrite == fault.isWrite && isExec == fault.isExec
      && ranOn == fault.cpu && fault.cpu == fault.evidence.endedOn
  }
}

extension RegionTimelines {
  /// Decides what became of `fault`, from its window and, where that leaves it open, from what followed.
  ///
  /// Parameters as of `FaultWindow.outcome` and `outcomeByWhatFollowed`.
  func outcome(
    of fault: FaultWindow, in vm: VMIndex, isProtected: Bool, isMapped: Bool
  ) -> FaultOutcome {
    fault.outcome(isProtected: isProtected) ?? outcomeByWhatFollowed(fault, vm, isMapped: isMapped)
  }

  /// Decides what became of `fault`, which its window leaves open: memory was unmapped in it.
  ///
  /// - Parameter isMapped: whether the model has the page mapped when the fault operates, which matters where
  ///   `mayRaceCopyOnWrite` alone.
  func outcomeByWhatFollowed(_ fault: FaultWindow, _ vm: VMIndex, isMapped: Bool) -> FaultOutcome {
    guard let slot = fault.slot else { return .nothing(.noSlot) }
    // The other vCPU's fault would have come back, too, if the unmap had gone on. This one was handled, and got -EAGAIN.
    if fault.lostToLongerFault { return .performed(.assumed) }
    let isTaken = isTakenBeforeNextFault(fault)
    // What made the thread's fault before retry is taken to have gone on.
    if isTaken, fault.evidence.repeatsRetry { return .nothing(.faultedAgain) }
    switch isTaken ? .unknown : fault.nextAccess {
    case .progressed:
      // The mapping may be another vCPU's, whose copy-on-write made this fault retry.
      let isRetry = fault.mayRaceCopyOnWrite && fault.kind == .translation && isMapped
      return isRetry ? .nothing(.faultedAgain) : .performed(.assumed)
    // What it was given went with its slot, so that it faults again says nothing.
    case .again where fault.evidence.isSlotRemoved, .againAtOnce where fault.evidence.isSlotRemoved: break
    // Reading the dirty log may have taken the right to write away again, which leaves no event; but hardly while the
    // unmap goes on that makes faults retry.
    case .again
    where fault.kind == .translation || !fault.isWrite || !slot.isLogging
      || fault.evidence.unmapOfVM == .underway:
      return .nothing(.faultedAgain)
    // Logging takes rights away, too, but hardly each time before the instruction that was granted one gets anywhere.
    case .againAtOnce: return .nothing(.faultedAgain)
    case .again, .unknown: break
    }

    // A later fault on the page may come from a hole in the guest_memfd.
    if fault.mayHaveUntoldHoles { return .performed(.assumed) }
    return outcomeByLaterFaults(fault, slot, vm, isMapped: isMapped)
  }

  /// Whether the same access faults again, and the page may have been taken away between the two faults: then the second
  /// one says nothing of the first.
  private func isTakenBeforeNextFault(_ fault: FaultWindow) -> Bool {
    guard fault.kind == .translation, fault.isRepeated else { return false }
    var next = node(of: fault).nextOnPage
    while next != TimelineNode.none, self[next].tid != fault.tid || self[next].entry < fault.end {
      next = self[next].nextOnPage
    }
    return isTaken(after: fault, before: next == TimelineNode.none ? .pending : self[next].sequence)
  }

  /// Whether the page of `fault` may be gone before a place in the merged trace though it was mapped.
  func isTaken(after fault: FaultWindow, before sequence: Sequence) -> Bool {
    var index = fault.node.map { self[$0].next } ?? TimelineNode.none
    return isLost(after: fault, before: sequence, from: &index)
  }

  /// Decides what became of a fault that an unmap may have made retry, from later faults on its page.
  private func outcomeByLaterFaults(
    _ fault: FaultWindow, _ slot: Memslot, _ vm: VMIndex, isMapped: Bool
  ) -> FaultOutcome {
    let first = node(of: fault)
    var index = first.nextOnPage
    // Timelines are in the order of the trace, so how far the loss of the page was looked for is kept.
    var loss = first.next
    var isLeafSeen = false
    while index != TimelineNode.none {
      let (later, node) = (index, self[index])
      index = node.nextOnPage
      guard node.entry >= fault.end else { continue }
      // Once the page was unmapped, a fault on it says nothing.
      if isLost(after: fault, before: node.sequence, from: &loss) { break }
      if node.kind == .translationFault {
        // While a region changes between pages and a block, another vCPU can find it empty.
        if node.tid != fault.tid, isRaced(later, of: vm) { continue }
        // What took the leaf came later than this fault, unless it was unmapped in the window.
        if isLeafSeen || fault.kind == .permission && fault.evidence.unmapOfRegion == .none && slot.hva != nil
        {
          break
        }
        return .nothing(.faultedAgain)
      }
      // The mapping may be another vCPU's, whose copy-on-write made this fault retry.
      if fault.mayRaceCopyOnWrite, fault.kind == .translation, isMapped { return .nothing(.faultedAgain) }
      if fault.kind == .permission {
        // Another vCPU's TLB may hold the leaf as it was. The access flag is looked at before the rights: where an age has
        // cleared it, that fault says nothing of them.
        guard node.tid == fault.tid else { continue }
        if node.kind == .accessFault {
          isLeafSeen = true
          continue
        }
        if node.isSameFault(as: fault), fault.keepsRight(in: slot) { return .nothing(.faultedAgain) }
      }
      break
    }
    return .performed(.assumed)
  }

  /// Whether the leaf that `fault` met is seen to be gone before a place in the merged trace: a vCPU that entered the guest
  /// after the fault found none.
  func isLeafGone(after fault: FaultWindow, before sequence: Sequence) -> Bool {
    guard fault.kind.needsLeaf, fault.node != nil else { return false }
    var index = node(of: fault).nextOnPage
    while index != TimelineNode.none, self[index].sequence < sequence {
      if self[index].kind == .translationFault, self[index].entry > fault.begin { return true }
      index = self[index].nextOnPage
    }
    return false
  }

  /// Whether the page of `fault` is not mapped afterwards, as the next vCPU finds that enters after its window and faults there.
  func isMissing(after fault: FaultWindow, of vm: VMIndex) -> Bool {
    missing(after: fault, of: vm) != nil
  }

  /// The same where that vCPU's fault raced with no other, which would have emptied the entry for a moment: then `fault` mapped
  /// nothing.
  func isLeftUnmapped(by fault: FaultWindow, of vm: VMIndex) -> Bool {
    missing(after: fault, of: vm).map { !isRaced($0, of: vm) } ?? false
  }

  /// The fault that finds the page of `fault` not mapped.
  private func missing(after fault: FaultWindow, of vm: VMIndex) -> TimelineNode.Index? {
    var index = node(of: fault).nextOnPage
    while index != TimelineNode.none, self[index].entry < fault.end { index = self[index].nextOnPage }
    guard index != TimelineNode.none, self[index].kind == .translationFault,
      !isUnmapped(after: fault, of: vm, upTo: self[index].sequence)
    else { return nil }
    return index
  }

  /// Whether `fault` operated before its own thread's notifications in its window. After an unmap of any of the VM's memory it
  /// would have retried; an age of the page that came later is told by the access flag fault that follows. Where the
  /// thread found nothing to unmap it is taken to have been over its limit, for an allocation would have gone on until
  /// it found something.
  func precedesOwnNotifications(_ fault: FaultWindow, of vm: VMIndex, isProtected: Bool) -> Bool {
    guard case .performed = outcome(of: fault, in: vm, isProtected: isProtected, isMapped: false) else {
      return false
    }
    if fault.sawOwnReclaim || !isAgedByOwnThread(fault) { return true }
    var index = node(of: fault).nextOnPage
    while index != TimelineNode.none {
      if self[index].tid == fault.tid { return self[index].kind == .accessFault }
      index = self[index].nextOnPage
    }
    return false
  }

  /// Whether the thread of `fault` aged its page in the window.
  private func isAgedByOwnThread(_ fault: FaultWindow) -> Bool {
    let gfn = fault.page.gfn(pageSize)
    var index = node(of: fault).next
    while index != TimelineNode.none, self[index].sequence < fault.end {
      if self[index].kind == .age, self[index].tid == fault.tid, self[index].frames.contains(gfn) {
        return true
      }
      index = self[index].next
    }
    return false
  }

  /// Whether the page of `fault` takes a write permission fault later, before it is unmapped: it was mapped
  /// read-only, then.
  func laterWriteFault(on fault: FaultWindow, of vm: VMIndex) -> Bool {
    var index = node(of: fault).nextOnPage
    while index != TimelineNode.none {
      let node = self[index]
      if node.kind == .permissionFault, node.isWrite, node.entry >= fault.end {
        return !isUnmapped(after: fault, of: vm, upTo: node.sequence)
      }
      index = node.nextOnPage
    }
    return false
  }

  /// From where on events are missing, among which what took the page of `fault` away may be; `pending` if none are.
  private func firstBreak(after fault: FaultWindow) -> Sequence {
    fault.evidence.endEpoch.isInGap ? fault.end : breaks.first(after: fault.end)
  }

  /// Whether the page of `fault` may be gone before a place in the merged trace though it was mapped: it was unmapped, its slot went,
  /// if only in the window, for the fault may have been handled before, or
  /// there was a permission fault on a block around it, for a map that breaks the block leaves nothing of it but its own
  /// page.
  ///
  /// - Parameter index: where to begin to look; where to go on for a later place.
  private func isLost(
    after fault: FaultWindow, before sequence: Sequence, from index: inout TimelineNode.Index
  ) -> Bool {
    if firstBreak(after: fault) < sequence { return true }
    let gfn = fault.page.gfn(pageSize)
    while index != TimelineNode.none, self[index].sequence < sequence {
      switch self[index].kind {
      case .slotChange:
        if self[index].frames.contains(gfn) { return true }
      case .unmap:
        if fault.isFollowed(by: self[index]), self[index].frames.contains(gfn) { return true }
      case .permissionFault where fault.kind == .translation || fault.level == .l3:
        if self[index].level < .l3, !self[index].isStage1Walk, self[index].entry >= fault.end { return true }
      default: break
      }
      index = self[index].next
    }
    return false
  }

  /// Whether the page of `fault` was unmapped between its end and a place in the merged trace, or may have been, for events are missing.
  func isUnmapped(after fault: FaultWindow, of vm: VMIndex, upTo sequence: Sequence) -> Bool {
    if firstBreak(after: fault) < sequence { return true }
    let gfn = fault.page.gfn(pageSize)
    // A region can have thousands of faults, but seldom is much taken away while one waits.
    var index = firstLoss(around: gfn, of: vm)
    while index != TimelineNode.none, self[index].sequence <= sequence {
      if fault.isFollowed(by: self[index]), self[index].frames.contains(gfn) { return true }
      index = self[index].nextLoss
    }
    return false
  }
}
