internal import KVMTrace
internal import KVMTypes

// What became of a fault, by its window and by what followed in its region.

extension FaultWindow {
  /// Whether the right that the fault asks for, once granted, stays with the leaf as long as it is mapped: only logging
  /// takes one away again, that to write.
  fileprivate func keepsRight(in slot: Memslot) -> Bool {
    kind == .permission && !(isWrite && slot.isLogging)
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
  /// Between the event and the operation stands one silent exit: `mmu_invalidate_retry`, which lets the guest fault
  /// again if memory of the VM, any of it, was unmapped since the fault looked at the host's table. So a fault with no
  /// unmap in reach performed its operation. One with an unmap in reach is decided by the next vCPU that enters after
  /// its window and faults on the page: it walks the table as this fault left it.
  ///
  /// - Parameter isProtected: whether the guest is protected. Nothing makes its fault retry: what `pkvm_mem_abort` pins
  ///   is its own, so it looks at no sequence number.
  /// - Parameter isMapped: whether the model has the page mapped when the fault operates, which matters where
  ///   `mayRaceCopyOnWrite` alone.
  func outcome(
    of fault: FaultWindow, isProtected: Bool, isMapped: Bool
  ) -> FaultOutcome {
    guard let slot = fault.slot else { return .nothing(.noSlot) }
    if fault.isWrite, slot.flags.contains(.readOnly) { return .nothing(.readOnlySlot) }
    switch fault.kind {
    case .accessFlag: return .mkyoung
    case .translation, .permission: break
    default: return .nothing(.otherFault)
    }
    if fault.sawMMIO { return .nothing(.noSlot) }
    if fault.failed { return .nothing(.failed) }
    if isProtected { return .performed(.derived) }
    // user_mem_abort samples mmu_invalidate_seq before it pins the page; an unmap by its own thread comes from the
    // pinning, so the check under the lock fails.
    if fault.sawOwnUnmap { return .nothing(.ownUnmap) }
    guard fault.mayBeInvalidated else { return .performed(.derived) }

    switch fault.nextAccess {
    case .progressed:
      // The mapping may be another vCPU's, whose copy-on-write made this fault retry.
      let isRetry = fault.mayRaceCopyOnWrite && fault.kind == .translation && isMapped
      return isRetry ? .nothing(.faultedAgain) : .performed(.assumed)
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

    var index = node(of: fault).nextOnPage
    // Once the page was unmapped, a fault on it says nothing.
    let unmapped =
      index == TimelineNode.none ? .pending : firstLoss(of: fault.page.gfn(pageSize), after: fault)
    while index != TimelineNode.none, self[index].sequence <= unmapped {
      let node = self[index]
      index = node.nextOnPage
      guard node.entry >= fault.end else { continue }
      if node.kind == .translationFault {
        // While a region changes between pages and a block, another vCPU can find it empty.
        if node.isRaced, node.tid != fault.tid { continue }
        return .nothing(.faultedAgain)
      }
      // The mapping may be another vCPU's, whose copy-on-write made this fault retry.
      if fault.mayRaceCopyOnWrite, fault.kind == .translation, isMapped { return .nothing(.faultedAgain) }
      if fault.kind == .permission {
        // Another vCPU's TLB may hold the leaf as it was.
        guard node.tid == fault.tid else { continue }
        if node.isSameFault(as: fault), fault.keepsRight(in: slot) { return .nothing(.faultedAgain) }
      }
      break
    }
    return .performed(.assumed)
  }

  /// Whether the page of `fault` takes a write permission fault later, before it is unmapped: it was mapped
  /// read-only, then.
  func laterWriteFault(on fault: FaultWindow) -> Bool {
    var index = node(of: fault).nextOnPage
    while index != TimelineNode.none {
      let node = self[index]
      if node.kind == .permissionFault, node.isWrite, node.entry >= fault.end {
        return node.sequence < firstUnmap(of: fault.page.gfn(pageSize), after: fault)
      }
      index = node.nextOnPage
    }
    return false
  }

  /// The place in the merged trace from where the page of `fault` may be gone though it was mapped: its first unmap, or
  /// a permission fault on a block around it, for a map that breaks the block leaves nothing of it but its own page.
  private func firstLoss(of gfn: GFN, after fault: FaultWindow) -> Sequence {
    var index = node(of: fault).next
    while index != TimelineNode.none {
      let node = self[index]
      index = node.next
      switch node.kind {
      case .unmap, .slotChange:
        if node.sequence > fault.end, node.frames.contains(gfn) { return node.sequence }
      case .permissionFault where fault.kind == .translation:
        if node.level == .l2, !node.isStage1Walk, node.entry >= fault.end { return node.sequence }
      default: break
      }
    }
    return .pending
  }

  /// The place in the merged trace of the first unmap of `gfn` after the end of `fault`, the highest where none is.
  private func firstUnmap(of gfn: GFN, after fault: FaultWindow) -> Sequence {
    var index = node(of: fault).next
    while index != TimelineNode.none {
      let node = self[index]
      index = node.next
      guard node.sequence > fault.end else { continue }
      switch node.kind {
      case .unmap where node.frames.contains(gfn), .slotChange where node.frames.contains(gfn):
        return node.sequence
      default: continue
      }
    }
    return .pending
  }
}
