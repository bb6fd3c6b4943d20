/// Where a replay has the memslots from.
struct MemslotSource {
  /// The probe whose events tell, nil where the history alone does.
  var probe: MemslotProbe?
  /// What is known beforehand: from a file, inferred, or what was there before a probe's first event.
  var history: MemslotHistory
  /// Whether some of what was there before a probe's first event was inferred from the trace.
  var isCompleted = false
  /// Whether the history was inferred from the trace.
  var isInferred = false
  /// Whether a VM is created in the trace, so that its first fault finds an empty table; nil where nothing tells.
  var showsCreation: Bool?

  /// The slots of a file.
  static func history(_ history: MemslotHistory) -> MemslotSource {
    MemslotSource(probe: nil, history: history, showsCreation: history.showsCreation)
  }

  /// The slots that are not inferred.
  var recorded: [Memslot] { history.vms.flatMap(\.slots).filter { $0.evidence == nil }.map(\.slot) }
}

extension MemslotHistory {
  /// Whether all slots of one of the VMs appear in the trace; false if others are known of all of them, and nil if that is
  /// not known of one.
  fileprivate var showsCreation: Bool? {
    let created = vms.filter { vm in
      !vm.isPartial && !vm.slots.isEmpty && vm.slots.allSatisfy { $0.from != nil }
    }
    if !created.isEmpty { return true }
    return !vms.isEmpty && vms.allSatisfy(\.isPartial) ? false : nil
  }
}
