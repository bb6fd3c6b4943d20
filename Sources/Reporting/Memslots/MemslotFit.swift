public import KVMTrace
internal import KVMTypes
public import Stage2Replay

/// Whether memslots that a file gave are those of the recording that was replayed with them.
public enum MemslotFit {
  /// What speaks against it, in words that follow the recording's name; nothing where there is no such file.
  public static func doubts(
    _ history: MemslotHistory?, _ result: ReplayResult, _ statistics: EventStatistics
  ) -> [String] {
    guard let history else { return [] }
    var doubts: [String] = []
    if let origin = history.origin, !origin.isSame(as: MemslotHistory.Origin("", statistics)) {
      doubts.append(
        "its memslots were made of another recording, \(origin.path), of \(Quantity.count(origin.events, "event")): this one has "
          + Quantity.count(statistics.total))
    }
    let outside = result.faultsOutsideSlots
    let all = result.vms.reduce(result.unattributedFaults) { $0 + $1.faults.total }
    // Of slots that are the recording's own, a guest's memory faults in. Where no event tells devices from it, most may be those.
    let tellsDevices = !result.missingEvents.contains { $0.events.contains("kvm_mmio") }
    if tellsDevices, outside > all / 2 {
      doubts.append(
        "\(Quantity.count(outside)) of \(Quantity.count(all, "fault")) are in none of the memslots that were given: they do not fit"
      )
    }
    return doubts
  }
}

extension ReplayResult {
  /// Faults in no slot, of which no event says that they were accesses to devices.
  fileprivate var faultsOutsideSlots: Int {
    vms.reduce(unattributedFaults) { sum, vm in
      let none = [NoOperationReason.noSlot, .unknownSlots].reduce(0) {
        $0 + (vm.faultsWithoutOperation[$1] ?? 0)
      }
      return sum + max(0, none - vm.faults.mmio)
    }
  }
}
