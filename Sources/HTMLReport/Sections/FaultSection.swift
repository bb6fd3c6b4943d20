internal import KVMTypes
internal import Pictures
internal import Reporting

/// How many faults of each kind a VM took when.
enum FaultSection {
  static func markup(_ subject: VMSubject) -> Markup {
    guard let faults = subject.vm.faults else {
      return VMSection.part(
        "Faults",
        .element("p") {
          "Faults were not recorded: "
          BasisMark.markup(nil)
        })
    }
    return VMSection.part(
      "Faults",
      table(faults, subject.vm.faultsBasis).markup
        + (subject.pictures.map { rates(subject, $0.faults) } ?? Markup()))
  }

  private static func table(_ faults: ReplayReport.FaultsEntry, _ basis: Basis?) -> DataTable {
    var table = DataTable(
      caption: "Faults by kind and level", header: ["faults", "count", "basis"], numbers: [1])
    table.row("all", Quantity.count(faults.total), basis: basis)
    table.row("translation", Quantity.count(faults.translation), basis: basis)
    table.row(
      "of these MMIO", faults.mmio.map { Quantity.count($0) } ?? "unknown",
      basis: faults.mmio == nil ? nil : basis)
    table.row("permission", Quantity.count(faults.permission), basis: basis)
    table.row("access flag", Quantity.count(faults.accessFlag), basis: basis)
    table.row("other", Quantity.count(faults.other), basis: basis)
    for (level, count) in faults.byLevel.sorted(by: { $0.key < $1.key }) {
      table.row("at level \(level)", Quantity.count(count), basis: basis)
    }
    if let unknown = faults.unknownLevel {
      table.row("at a level that the syndrome does not tell", Quantity.count(unknown), basis: basis)
    }
    if let nested = faults.nested {
      table.row("of nested guests, not replayed", Quantity.count(nested), basis: basis)
    }
    return table
  }

  private static func rates(_ subject: VMSubject, _ rates: FaultRates) -> Markup {
    let bins = rates.bins
    guard !bins.bins.isEmpty else { return Markup() }
    let isTicks = subject.time.unit == .ticks
    let seconds = Double(bins.interval.rawValue) / 1e9
    let kinds = FaultRates.Kind.allCases.filter { kind in bins.bins.contains { $0[kind] > 0 } }
    let values = SeriesPlot(
      times: bins.bins.indices.map { bins.begin(of: $0).rawValue },
      end: bins.begin(of: bins.bins.count).rawValue,
      series: kinds.map { kind in
        SeriesPlot.Series(
          name: kind.name, values: bins.bins.map { Double($0[kind]) / (isTicks ? 1 : seconds) },
          isArea: true)
      }, unit: isTicks ? .count : .rate)
    let interval = subject.time.unit.duration(bins.interval.rawValue)
    let most = bins.bins.map(\.total).max() ?? 0
    var plot = subject.plot(
      "faults", isTicks ? "Faults in each \(interval)" : "Faults a second",
      "Faults by kind in intervals of \(interval), one on top of the other: at most \(Quantity.count(most)) in one.",
      subject.vm.faultsBasis)
    plot.note = "In \(subject.intervals(of: bins.interval.rawValue))."
    return values.figure(plot)
  }
}
