internal import KVMTypes
internal import Reporting
internal import Stage2Model

/// How long locks are held: each VM's `mmu_lock`, and EL2's host lock, which is one for all.
struct HostLockSection {
  let plan: CapacityPlan

  var markup: Markup {
    let locks = mmuLock + hostLock
    return locks.isEmpty ? .paragraph("No recording tells how long locks are held.") : locks
  }

  // MARK: mmu_lock

  private var mmuLock: Markup {
    guard !plan.mmuLock.isEmpty else { return Markup() }
    var table = DataTable(
      caption: "mmu_lock of each recorded VM, with the planned vCPUs",
      header: [
        "VM", "vCPUs recorded", "vCPUs", "faults take it", "held to write", "held to read", "mean wait",
        "error of waits", "basis",
      ], numbers: [1, 2, 4, 5, 6, 7])
    for use in plan.mmuLock.prefix(PageLimits.rows) {
      table.row(
        "\(use.input):\(use.vm)", Quantity.count(use.recordedVCPUs), Quantity.count(use.vcpus),
        "to \(use.faultLock.rawValue)", Self.share(use.writeUtilisation), Self.share(use.readUtilisation),
        Self.duration(use.meanWaitNs), use.waitError.map { Quantity.signedPercent($0) } ?? "unknown",
        basis: .modelled)
    }
    return .element("h3") { "mmu_lock" }
      + .paragraph(
        "Each VM has its own. The recorded sections under it are simulated with \(Quantity.count(plan.vcpus, "vCPU")): the shares are of "
          + "the time from the first section of a vCPU to the end of the last. " + DurationCaveat.ofSeveral)
      + table.markup + LeftOut.note(plan.mmuLock.count - PageLimits.rows, "VM")
  }

  // MARK: The host lock

  private var hostLock: Markup {
    guard let lock = plan.hostLock else { return Markup() }
    return .element("h3") { "EL2's host lock" }
      + .paragraph(
        "One for the machine, which each share, unshare, donate and reclaim holds: the loads of the VMs add up. They ask for it at the "
          + "rate of the recorded VMs with their vCPUs and RAM, which is not scaled to the planned ones. "
          + DurationCaveat.ofSeveral)
      + (lock.isUnknown
        ? .paragraph(
          "How long it is held is unknown: the costs fit with an error of \(Self.share(lock.costError)). --json has what they would give."
        )
        : Markup())
      + table(lock).markup
  }

  private func table(_ lock: HostLockPlan) -> DataTable {
    var table = DataTable(caption: "The host lock", header: ["what", "value", "basis"])
    func range(_ name: String, _ least: Double, _ most: Double) {
      table.row(
        name, lock.isUnknown ? "unknown" : "\(Self.share(least)) to \(Self.share(most))",
        basis: lock.isUnknown ? nil : .modelled)
    }
    table.row(
      "asked for by each VM",
      Quantity.decimal(UInt64(nearest: lock.acquisitionsPerSecond * 10), by: 10, digits: 1)
        + " times a second of its recorded time", basis: .modelled)
    range("held by one VM", lock.perVMLeast, lock.perVMMost)
    range("asked for by all VMs", lock.demandLeast, lock.demandMost)
    range("held by all VMs, for who waits asks later", lock.utilisationLeast, lock.utilisationMost)
    if !lock.isUnknown {
      table.row("mean wait, at most", Self.duration(lock.meanWaitMostNs), basis: .modelled)
      table.row("saturated", Self.saturation(lock), basis: .modelled)
    }
    table.row(
      "costs",
      lock.costs + ", error "
        + (lock.costError.map { "\(Quantity.share($0)), which the ranges have" }
          ?? "unknown: nobody checked them"),
      basis: lock.costsBasis)
    return table
  }

  private static func saturation(_ lock: HostLockPlan) -> String {
    "from \(CapacityPlan.vms(lock.saturatesAtLeast)) on where each takes the most, "
      + (lock.saturatesAtMost.map { "from \(CapacityPlan.vms($0)) on where each takes the least" }
        ?? "from a number on that the costs do not tell where each takes the least")
  }

  private static func share(_ share: Double?) -> String { share.map(Quantity.share) ?? "unknown" }

  private static func duration(_ nanoseconds: Double) -> String {
    Quantity.duration(UInt64(nearest: nanoseconds))
  }
}
