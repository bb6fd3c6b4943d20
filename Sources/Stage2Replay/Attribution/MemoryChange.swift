internal import KVMTrace
internal import KVMTypes

/// A change of host memory of which a notifier's event tells, and who makes it: what it takes to say whose memory it is.
///
/// The address alone does not tell where VMMs run side by side: what one has at an address is not what another has there, and the
/// events do not name their process.
///
/// A VM's own threads change its own memory. Everybody else's, too, they change in reclaim, which unmaps one folio at a time. What
/// both have at an address is taken for the thread's own.
struct MemoryChange {
  /// Whose memory it is, as a VM sees it that has slots there.
  enum Owner {
    case own, another, unknown
  }

  private let range: HVARange
  private let tid: ThreadID
  private let vcpuOf: VMIndex?
  private let isCreator: Bool
  private let isOfFault: Bool
  private let isFolio: Bool
  private let lacksOthers: Bool

  /// A thread's change of a range.
  ///
  /// - Parameters:
  ///   - vcpuOf: the VM whose vCPU the thread runs.
  ///   - isCreator: whether the thread creates a VM, sooner or later.
  ///   - isOfFault: whether the range has the page on which the thread's vCPU is in a fault.
  ///   - lacksOthers: whether there are VMs that the trace does not show, which may have memory anywhere.
  init(
    range: HVARange, tid: ThreadID, vcpuOf: VMIndex?, isCreator: Bool, isOfFault: Bool, lacksOthers: Bool,
    pageSize: PageSize
  ) {
    self.lacksOthers = lacksOthers
    self.range = range
    self.tid = tid
    self.vcpuOf = vcpuOf
    self.isCreator = isCreator
    self.isOfFault = isOfFault
    isFolio = range.isFolio(pageSize)
  }

  /// Whether a range in a VM's slots is that VM's memory.
  func owner(
    seenFrom vm: VMIndex, _ vms: borrowing VMRegister, _ evidence: VCPUEvidence
  ) -> Owner {
    let creator = vms.creator(of: vm)
    if creator == tid || vcpuOf == vm {
      let areOthersThere = lacksOthers || isMemory(among: vms) { $0 != creator }
      let mayBeReclaim = isFolio && areOthersThere && !isOfFault
      return mayBeReclaim ? .unknown : .own
    }
    let own = vcpuOf ?? vms.settledOwner(ofThread: tid, evidence) ?? vms.roster.vm(createdBy: tid)
    guard let own else {
      // The VM of a thread that creates one may have no slots yet, or none any more.
      return isCreator && !isFolio ? .another : .unknown
    }
    let ownCreator = vms.creator(of: own)
    if own == vm || ownCreator == creator { return .own }
    return isFolio && !isMemory(among: vms) { $0 == ownCreator } ? .unknown : .another
  }

  /// Whether the range is in slots of a live VM whose creator satisfies a condition.
  private func isMemory(among vms: borrowing VMRegister, where isMeant: (ThreadID?) -> Bool) -> Bool {
    vms.live.contains {
      isMeant(vms.creator(of: $0)) && vms[$0].slots.table.mayOverlap(range)
        && !vms[$0].slots.table.overlaps(range).isEmpty
    }
  }
}
