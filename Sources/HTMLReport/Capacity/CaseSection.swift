internal import KVMTypes
internal import Reporting

/// What one VM and all VMs need, case by case, with what it consists of.
struct CaseSection {
  let plan: CapacityPlan

  var markup: Markup {
    plan.groups.reduce(into: Markup()) { markup, group in
      let content = chart(group) + table(group).markup + next(group)
      markup += plan.groups.count > 1 || group.isProtected ? heading(group) + content : content
    }
  }

  private func heading(_ group: CapacityGroup) -> Markup {
    .element("h3") { group.isProtected ? "Protected guests" : "Guests that are not protected" }
  }

  private func cases(_ group: CapacityGroup) -> [CapacityPlan.Case] {
    plan.cases.filter { $0.isProtected == group.isProtected }
  }

  private static func name(_ item: CapacityPlan.Case) -> String {
    item.name + (item.vm.map { " (\(item.input ?? 0):\($0))" } ?? "")
  }

  /// What a need consists of, in the order of the columns.
  private static func parts(_ need: CapacityNeed) -> [UInt64] {
    [need.mappingTreeBytes, need.tableBytes + need.pgdBytes, need.memcacheBytes, need.hypBytes]
  }

  private static let partNames = ["tree", "tables", "memcaches", "EL2"]

  // MARK: The chart

  private func chart(_ group: CapacityGroup) -> Markup {
    let cases = cases(group)
    let range = group.samples > 0 ? group.predicted["totalBytes"] : nil
    let most = (cases.map(\.vmTotalBytes) + [range?.most ?? 0]).max() ?? 0
    let values = ValueAxis(.bytes, upTo: Double(most))
    let isOne = plan.vms == 1
    var chart = BarChart(
      words: words(group, cases), axis: BarChart.Axis(values, "one VM"),
      upper: isOne
        ? nil : BarChart.Axis(values, times: Double(plan.vms), "all \(Quantity.count(plan.vms, "VM"))"),
      rows: cases.map { item in
        BarChart.Row(
          name: Self.name(item),
          value: Quantity.bytes(item.vmTotalBytes)
            + (isOne ? "" : " a VM, \(Quantity.bytes(item.allVMsBytes)) all"),
          bars: Self.bars(item.need, values))
      })
    if let range {
      chart.words.legend.append(
        LegendEntry(key: .area(4), name: "where one more such VM is to be expected"))
      chart.rows.append(
        BarChart.Row(
          name: "one more such VM", value: Self.words(range) + (range.isAllPossible ? ": unknown" : ""),
          bars: [
            BarChart.Bar(
              begin: values.share(Double(range.least)), end: values.share(Double(range.most)), key: .area(4))
          ]))
    }
    return chart.figure
  }

  private func words(_ group: CapacityGroup, _ cases: [CapacityPlan.Case]) -> FigureWords {
    var words = FigureWords(
      id: group.isProtected ? "cases-protected" : "cases-all", title: "Stage-2 memory of a VM, by case",
      description:
        "A bar for each case, of the tree, the tables, the memcaches and EL2's structures one after the other"
        + (cases.first.map { ", from \($0.name): \(Quantity.bytes($0.vmTotalBytes)) a VM" } ?? "")
        + (cases.last.map { " to \($0.name): \(Quantity.bytes($0.vmTotalBytes)) a VM" } ?? "") + ".",
      basis: BasisMark.markup(.modelled))
    words.legend = Self.partNames.enumerated().map { LegendEntry(key: .area($0), name: $1) }
    return words
  }

  private static func bars(_ need: CapacityNeed, _ values: ValueAxis) -> [BarChart.Bar] {
    var sum: UInt64 = 0
    return parts(need).enumerated().compactMap { number, part in
      defer { sum += part }
      guard part > 0 else { return nil }
      return BarChart.Bar(
        begin: values.share(Double(sum)), end: values.share(Double(sum + part)), key: .area(number))
    }
  }

  // MARK: The tables

  private func table(_ group: CapacityGroup) -> DataTable {
    let cases = cases(group)
    var table = DataTable(
      caption: "Cases",
      header: ["case"] + Self.partNames + [
        "a VM", "a GiB of RAM", "all VMs", "touched", "by blocks", "basis",
      ],
      numbers: [1, 2, 3, 4, 5, 6, 7, 8, 9])
    for item in cases {
      let bytes =
        Self.parts(item.need) + [item.vmTotalBytes, item.bytesPerGiB, item.allVMsBytes]
      let shares = [item.touchedShare, item.blockShare].map { $0.map(Quantity.share) ?? "" }
      table.rows.append(
        ([Self.name(item)] + bytes.map(Quantity.bytes) + shares).map(DataTable.Cell.text)
          + [.basis(item.basis)])
    }
    return table
  }

  private static func words(_ range: PredictedRange) -> String {
    "\(Quantity.bytes(range.least)) to \(Quantity.bytes(range.most))"
  }

  /// Where one more such VM is to be expected.
  private func next(_ group: CapacityGroup) -> Markup {
    guard group.samples > 0 else { return Markup() }
    var table = DataTable(
      caption: "One more such VM", header: ["figure", "expected", "from", "basis"])
    for (key, name) in Self.predictedNames {
      guard let range = group.predicted[key] else { continue }
      table.row(
        name, Self.words(range) + (range.isAllPossible ? ", which is all that is possible" : ""),
        Quantity.count(range.samples, "sample"), basis: range.isAllPossible ? nil : .modelled)
    }
    return table.markup
      + .note(
        "Where another VM of this kind is to be expected, 19 times of 20. Where all that is possible is to be expected, the recorded "
          + "VMs tell nothing of the next one.")
  }

  private static let predictedNames = [
    ("totalBytes", "all"), ("mappingTreeBytes", "tree"), ("secPageTablesBytes", "SecPageTables of the host"),
  ]
}
