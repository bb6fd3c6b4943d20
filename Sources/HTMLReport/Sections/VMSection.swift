internal import KVMTypes
internal import Reporting
internal import Stage2Model
internal import Stage2Replay

/// One VM with its plots.
enum VMSection {
  static func markup(_ subject: VMSubject, _ budget: inout PictureBudget) -> Markup {
    // The map first: it may take what there is of the budget.
    let heat = HeatSection.markup(subject, &budget)
    return DataTable.row(of: head(subject), vcpus(subject.vm))
      + LeftOut.note(subject.vm.vcpus.count - PageLimits.rows, "vCPU") + OperationSection.markup(subject)
      + MemorySection.markup(subject)
      + FaultSection.markup(subject) + LockSection.markup(subject) + ModelledLockSection.markup(subject.vm)
      + heat + WorkingSetSection.markup(subject)
  }

  /// A part of the section.
  static func part(_ title: String, _ content: Markup) -> Markup {
    content.isEmpty ? content : .element("h4") { title } + content
  }

  private static func head(_ subject: VMSubject) -> DataTable {
    let vm = subject.vm
    let unit = subject.time.unit
    var table = DataTable(caption: "The VM", header: ["what", "value", "basis"])
    if let pid = vm.pids.first { table.row("process", String(pid), basis: .recorded) }
    if vm.protected == true { table.row("protected guest", "yes", basis: .derived) }
    table.row("vCPUs", vm.vcpuCount, basis: vm.faults == nil ? nil : .recorded)
    if let end = vm.endedNs { table.row("ended", unit.stamp(end), basis: vm.endBasis) }
    for reset in (vm.resets ?? []).prefix(PageLimits.marks) {
      table.row("vCPUs initialised again", unit.stamp(reset.timeNs), basis: reset.basis)
    }
    table.row("faults", vm.faults?.words ?? "unknown", basis: vm.faultsBasis)
    for (reason, count) in (vm.faultsWithoutOperation ?? [:]).sorted(by: { $0.key.rawValue < $1.key.rawValue }
    )
    where count > 0 {
      table.row(
        "faults without an operation", "\(Quantity.count(count)) \(reason.phrase)",
        basis: reason.isUnknown ? nil : vm.faultsWithoutOperationBasis)
    }
    if vm.hypercalls != nil {
      table.row(
        "hypercalls", vm.hypercallWords, basis: vm.hypercallsTotal == nil ? nil : vm.hypercallsBasis)
    }
    table.row(
      "divergences", vm.divergences.statement, basis: vm.divergences.uncheckedWhy == nil ? .derived : nil)
    return table
  }

  private static func vcpus(_ vm: ReplayReport.VMEntry) -> DataTable {
    var table = DataTable(caption: "vCPUs", header: ["vCPU", "thread", "command"], numbers: [0, 1])
    for vcpu in vm.vcpus.prefix(PageLimits.rows) {
      table.row(String(vcpu.index), String(vcpu.tid), vcpu.command ?? "unknown")
    }
    return table
  }
}

/// What the VM's faults and the host's requests came to.
enum OperationSection {
  static func markup(_ subject: VMSubject) -> Markup {
    VMSection.part(
      "Operations",
      DataTable.row(of: operations(subject.vm.operations), hypercalls(subject.vm))
        + (subject.vm.partialOperationWords.map { .note("\($0).") } ?? Markup()))
  }

  static func operations(_ operations: [OperationKind: ReplayReport.OperationEntry]) -> DataTable {
    var table = DataTable(
      caption: "Calls of stage-2 functions",
      header: ["operation", "count", "-EAGAIN", "errors", "pages", "derived", "assumed"],
      numbers: [1, 2, 3, 4, 5, 6])
    for (kind, entry) in operations.sorted(by: {
      ($1.value.count, $0.key.word) < ($0.value.count, $1.key.word)
    }) {
      table.row(
        kind.name, Quantity.count(entry.count), Quantity.count(entry.eagain), Quantity.count(entry.errors),
        Quantity.count(entry.pages), Quantity.count(entry.basis[.derived] ?? 0),
        Quantity.count(entry.basis[.assumed] ?? 0))
    }
    return table
  }

  private static func hypercalls(_ vm: ReplayReport.VMEntry) -> DataTable {
    var table = DataTable(caption: "Hypercalls", header: ["hypercall", "count", "basis"], numbers: [1])
    let calls = (vm.hypercalls ?? [:]).filter { $0.value > 0 }
    for (call, count) in calls.sorted(by: { ($1.value, $0.key.word) < ($0.value, $1.key.word) }) {
      table.row(call.word, Quantity.count(count), basis: vm.hypercallsBasis)
    }
    return table
  }
}

/// VMs that have no plots.
enum OtherVMsSection {
  static func markup(_ vms: [ReplayReport.VMEntry]) -> Markup {
    guard !vms.isEmpty else { return Markup() }
    var table = DataTable(
      caption: "VMs without plots", header: ["VM", "process", "vCPUs", "faults", "memory at most"],
      numbers: [0, 1, 2, 3, 4])
    for vm in vms.prefix(PageLimits.rows) {
      table.row(
        String(vm.id), vm.pids.first.map { String($0) } ?? "unknown", vm.vcpuCount,
        vm.faults.map { Quantity.count($0.total) } ?? "unknown",
        vm.memory.totalBytes.map { Quantity.bytes(UInt64(max($0.peak, 0))) } ?? "unknown")
    }
    let most = vms.allSatisfy { $0.faults != nil } ? "VMs with most faults" : "first VMs"
    return .note(
      "Plots are of the \(PageLimits.vms) \(most), of all recordings of the page; --vm chooses others.")
      + table.markup + LeftOut.note(vms.count - PageLimits.rows, "VM")
  }
}
