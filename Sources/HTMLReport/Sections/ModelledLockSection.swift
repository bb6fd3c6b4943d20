internal import KVMTypes
internal import Reporting
internal import Stage2Model
internal import Stage2Replay

/// What costs and a simulation say of a VM's `mmu_lock`, where somebody asked for it.
enum ModelledLockSection {
  static func markup(_ vm: ReplayReport.VMEntry) -> Markup {
    (vm.modelledLock.map(priced) ?? Markup()) + (vm.contention.map(simulated) ?? Markup())
  }

  /// `--costs`.
  private static func priced(_ lock: ReplayReport.ModelledLockEntry) -> Markup {
    var table = DataTable(
      caption: "Calls of stage-2 functions under the lock",
      header: [
        "in", "mode", "count", "total", "mean", "error", "what chance makes of it", "interleaved", "basis",
      ], numbers: [2, 3, 4, 5, 6, 7])
    for (kind, entry) in lock.byOperation.sorted(by: {
      ($1.value.totalNs, $0.key.word) < ($0.value.totalNs, $1.key.word)
    }) {
      table.row(
        kind.name, entry.mode.word, Quantity.count(entry.count), Quantity.duration(entry.totalNs),
        Quantity.duration(entry.meanNs), entry.errorText, entry.chanceText, entry.interleavedErrorText,
        basis: lock.basis)
    }
    let isChecked = lock.byOperation.values.contains { $0.error != nil }
    return VMSection.part(
      "Time under mmu_lock as the costs \(lock.costs) have it",
      .element("p") {
        "Held to write for \(duration(lock.writeHeldNs)), to read for \(duration(lock.readHeldNs)). "
        BasisMark.markup(lock.basis)
        " That is what the replayed calls take if each takes as long as the costs say. "
        if isChecked {
          "The costs are those of the host that they were fitted to: where that was emulated, they say nothing of hardware."
        } else {
          "Nobody held these costs against recorded durations: their error is unknown."
        }
      } + table.markup + .note(ReplayReport.ModelledLockEntry.errorNote))
  }

  private static func duration(_ nanoseconds: UInt64?) -> String {
    nanoseconds.map(Quantity.duration) ?? "an unknown time"
  }

  /// `--contention`.
  private static func simulated(_ study: ContentionStudy) -> Markup {
    var table = DataTable(
      caption: "The lock with fewer and more vCPUs", header: ContentionStudy.Case.header + ["basis"],
      numbers: [0, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    for item in study.cases.prefix(PageLimits.rows) {
      table.rows.append(item.cells.map(DataTable.Cell.text) + [.basis(.modelled)])
    }
    return VMSection.part(
      "mmu_lock, simulated",
      .element("p") {
        "From \(study.simulated): those sections again, by as many vCPUs as each row says (seed \(String(study.seed))). "
        BasisMark.markup(.modelled)
        " \(DurationCaveat.recorded)"
      } + table.markup + LeftOut.note(study.cases.count - PageLimits.rows, "case")
        + .list([ContentionStudy.columns, study.waitsText]))
  }
}
