internal import KVMTypes
internal import Reporting

/// What each recorded VM had at most, and how that is distributed over them.
struct SampleSection {
  let plan: CapacityPlan

  private var hosts: [String] { VMSample.hosts(plan.samples) }

  var markup: Markup {
    guard !plan.samples.isEmpty else { return .paragraph("No recording: the bounds alone.") }
    let inputs = Set(plan.samples.map(\.input)).count
    return kinds + recordings.markup + LeftOut.note(inputs - PageLimits.rows, "recording") + table.markup
      + LeftOut.note(plan.samples.count - PageLimits.rows, "VM") + distributions
  }

  private var kinds: Markup {
    guard hosts.count > 1 else { return Markup() }
    return .paragraph(
      "Recorded on hosts of \(Quantity.count(hosts.count, "kind")), whose figures do not compare: each kind has its own below."
    )
  }

  private var recordings: DataTable {
    var table = DataTable(
      caption: "The recordings", header: ["no.", "recording", "host", "VMs"], numbers: [0, 3])
    for input in Set(plan.samples.map(\.input)).sorted().prefix(PageLimits.rows) {
      let own = plan.samples.filter { $0.input == input }
      table.row(String(input), own[0].recording, own[0].host, Quantity.count(own.count))
    }
    return table
  }

  private var table: DataTable {
    var table = DataTable(
      caption: "At the peak",
      header: [
        "VM", "RAM", "vCPUs", "touched", "tree", "tables", "memcaches", "EL2", "total", "settled",
        "protected", "basis",
      ], numbers: [1, 2, 3, 4, 5, 6, 7, 8])
    for sample in plan.samples.prefix(PageLimits.rows) {
      let sizes = zip(Self.words(sample.peak), Self.words(sample.peakMost)).map { least, most in
        least == most ? least : "\(least) to \(most)"
      }
      let cells =
        [
          sample.name, Quantity.bytes(sample.ramBytes), String(sample.vcpus),
          Quantity.share(sample.touchedShare),
        ] + sizes + [sample.curve.settled.rawValue, sample.isProtected ? "yes" : "no"]
      table.rows.append(cells.map(DataTable.Cell.text) + [.basis(sample.basis)])
    }
    return table
  }

  private static func words(_ peak: Stage2Peak) -> [String] {
    [
      peak.mappingTreeBytes, peak.tableBytes + peak.pgdBytes, peak.memcacheBytes, peak.hypBytes,
      peak.totalBytes,
    ].map(Quantity.bytes)
  }

  private var distributions: Markup {
    plan.groups.reduce(into: Markup()) { markup, group in
      for host in hosts { markup += distribution(group, host).markup }
    }
  }

  private func distribution(_ group: CapacityGroup, _ host: String) -> DataTable {
    let figures = group.distribution.filter { $0.host == host }
    let count = Quantity.count(figures.first?.samples ?? 0, group.isProtected ? "protected VM" : "VM")
    var table = DataTable(
      caption: "For each GiB of RAM, over \(count)" + (hosts.count > 1 ? " on \(host)" : ""),
      header: ["figure", "least", "VM", "median", "VM", "mean", "most", "VM", "basis"],
      numbers: [1, 3, 5, 6])
    for figure in figures {
      table.row(
        figure.word, figure.text(figure.least.value), figure.least.name, figure.text(figure.median.value),
        figure.median.name, figure.text(figure.mean), figure.text(figure.most.value), figure.most.name,
        basis: figure.basis)
    }
    return table
  }
}
