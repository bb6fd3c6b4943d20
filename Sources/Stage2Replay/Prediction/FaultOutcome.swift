internal import KVMTrace
internal import KVMTypes

// What KVM did about a fault, as far as the events tell. The rules carry the names under which the README lists
// them; each says why the kernel leaves no other choice, or that it does.

/// Whether a fault led to an operation on the table at all.
enum FaultOutcome: Hashable {
  /// An access flag fault: mkyoung, always.
  case mkyoung
  /// A map or a relaxation of rights was performed, or at least tried.
  case performed(Basis)
  /// Nothing was performed.
  case nothing(Reason)

  enum Reason: UInt8, Hashable, CaseIterable {
    /// No slot holds the address: MMIO, or an abort injected into the guest.
    case noSlot
    /// A write to a slot that is read-only goes to the VMM.
    case readOnlySlot
    /// The thread unmapped memory of the VM inside the window, so the retry check failed (`mmu_invalidate_retry`).
    case ownUnmap
    /// The same page faults again in a vCPU that entered the guest after this fault's window.
    case faultedAgain
    /// KVM_RUN failed.
    case failed
    /// The fault is neither of translation nor of permission: KVM injects or fails.
    case otherFault
  }
}

extension RegionTimelines {
  /// Decides what became of `fault`, from its window and from what followed in its region.
  func outcome(of fault: FaultRecord) -> FaultOutcome {
    guard let slot = fault.slot else { return .nothing(.noSlot) }
    if fault.isWrite, slot.flags.contains(.readOnly) { return .nothing(.readOnlySlot) }
    switch fault.kind {
    case .accessFlag: return .mkyoung
    case .translation, .permission: break
    default: return .nothing(.otherFault)
    }
    if fault.sawMMIO { return .nothing(.noSlot) }
    if fault.failed { return .nothing(.failed) }
    // user_mem_abort samples mmu_invalidate_seq before it pins the page; an unmap by its own thread comes from the
    // pinning, so the check under the lock fails.
    if fault.retriedByOwnUnmap { return .nothing(.ownUnmap) }

    // A vCPU that entered after the window's end walks the table as the fault left it. If it takes a translation
    // fault on the page, nothing was mapped; any other fault on it proves a mapping. An unmap of the page in between
    // takes the proof away.
    let gfn = fault.page.gfn(pageSize)
    var index = self[fault.node].next
    while index != TimelineNode.none {
      let node = self[index]
      index = node.next
      switch node.kind {
      case .translationFault, .permissionFault, .accessFault:
        guard node.frames.start == gfn, node.entry >= fault.end else { continue }
        if node.kind == .translationFault, node.tableMayChange { continue }
        return node.kind == .translationFault ? .nothing(.faultedAgain) : .performed(.derived)
      case .unmap, .slotChange:
        if node.sequence > fault.end, node.frames.contains(gfn) { return .performed(.assumed) }
      case .age, .testAge: continue
      }
    }
    return .performed(.assumed)
  }
}

extension RegionTimelines {
  /// Whether the page of `fault` takes a write permission fault later, before it is unmapped: it was mapped
  /// read-only, then.
  func laterWriteFault(on fault: FaultRecord) -> Bool {
    let gfn = fault.page.gfn(pageSize)
    var index = self[fault.node].next
    while index != TimelineNode.none {
      let node = self[index]
      index = node.next
      switch node.kind {
      case .permissionFault:
        if node.frames.start == gfn, node.isWrite, node.entry >= fault.end { return true }
      case .unmap, .slotChange:
        if node.sequence > fault.end, node.frames.contains(gfn) { return false }
      case .translationFault, .accessFault, .age, .testAge: continue
      }
    }
    return false
  }
}
