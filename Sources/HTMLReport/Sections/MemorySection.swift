internal import KVMTypes
internal import Pictures
internal import Reporting

/// What the VM's stage 2 maps and takes: over time, and what it consists of.
enum MemorySection {
  static func markup(_ subject: VMSubject) -> Markup {
    guard subject.vm.memory.totalBytes != nil else {
      return VMSection.part(
        "Memory of the stage 2",
        .element("p") {
          "Nothing tells what is mapped: "
          BasisMark.markup(nil)
        })
    }
    let series = subject.vm.memory.series ?? []
    var plots = Markup()
    if !series.isEmpty {
      if subject.isPKVM { plots += mappings(subject, series) }
      plots += bytes(subject, series) + tables(subject, series)
    }
    plots += mapped(subject)
    return VMSection.part("Memory of the stage 2", DataTable.row(of: sizes(subject), parts(subject)) + plots)
  }

  private static func end(_ subject: VMSubject) -> UInt64 {
    min(subject.vm.endedNs ?? subject.last, subject.last)
  }

  private static func mappings(_ subject: VMSubject, _ series: [ReplayReport.MemorySeriesEntry]) -> Markup {
    let values = SeriesPlot(
      times: series.map(\.timeNs), end: subject.last,
      series: [
        .init(name: "blocks", values: series.map { Double($0.blockMappings) }, isArea: true),
        .init(name: "pages", values: series.map { Double($0.pageMappings) }, isArea: true),
      ], unit: .count)
    let peak = subject.vm.memory.mappings.map { Quantity.count($0.peak) } ?? "unknown"
    return values.figure(
      subject.plot(
        "mappings", "Mappings in the tree",
        "Mapping objects of pages and of blocks over time, one on top of the other: \(peak) at most.",
        subject.vm.memory.basis))
  }

  /// What is mapped at all, which the map of guest memory adds up.
  private static func mapped(_ subject: VMSubject) -> Markup {
    guard let map = subject.pictures?.heat else { return Markup() }
    let sums = (0..<map.columns).map { column in
      map.rows.reduce(0.0) { $0 + Double($1.cells[column].mappedPages) }
    }
    let values = SeriesPlot(
      times: sums.indices.map { map.begin(ofColumn: $0).rawValue },
      end: map.begin(ofColumn: map.columns).rawValue,
      series: [.init(name: "host pages mapped, by pages or blocks", values: sums.map { $0 }, isArea: true)],
      unit: .count)
    return values.figure(
      subject.plot(
        "mapped", "Pages that are mapped",
        "The host's pages that are mapped, by pages or blocks, over time: \(Quantity.count(UInt64(sums.max() ?? 0))) at most.",
        subject.vm.memory.basis))
  }

  private static func bytes(_ subject: VMSubject, _ series: [ReplayReport.MemorySeriesEntry]) -> Markup {
    let page = subject.report.inputs.first?.pageSize ?? 4096
    let values = SeriesPlot(
      times: series.map(\.timeNs), end: subject.last,
      series: [
        .init(name: "mapping tree", values: series.map { Double($0.mappingTreeBytes) }, isArea: true),
        .init(name: "table pages", values: series.map { Double($0.tablePages * page) }, isArea: true),
        .init(name: "memcaches", values: series.map { Double($0.memcachePages * page) }, isArea: true),
        .init(
          name: "PGD, and EL2's structures and pool", values: series.map { rest($0, page) }, isArea: true),
      ], unit: .bytes)
    let peak = subject.vm.memory.totalBytes.map { Quantity.bytes(UInt64(max($0.peak, 0))) } ?? "unknown"
    return values.figure(
      subject.plot(
        "bytes", "What the stage 2 takes",
        "Bytes of the mapping tree, of table pages, of memcaches and of the rest over time, one on top of the other: \(peak) at most.",
        subject.vm.memory.basis))
  }

  private static func rest(_ entry: ReplayReport.MemorySeriesEntry, _ page: Int) -> Double {
    Double(
      max(entry.totalBytes - entry.mappingTreeBytes - (entry.tablePages + entry.memcachePages) * page, 0))
  }

  private static func tables(_ subject: VMSubject, _ series: [ReplayReport.MemorySeriesEntry]) -> Markup {
    let values = SeriesPlot(
      times: series.map(\.timeNs), end: subject.last,
      series: [
        .init(name: "table pages", values: series.map { Double($0.tablePages) }),
        .init(name: "pages in memcaches", values: series.map { Double($0.memcachePages) }),
      ], unit: .count)
    let peak = subject.vm.memory.tablePages.map { Quantity.count($0.peak) } ?? "unknown"
    return values.figure(
      subject.plot(
        "tables", "Table pages",
        "Tables below the PGD, and pages held ready for tables, over time: \(peak) tables at most.",
        subject.vm.memory.basis))
  }

  /// The figures at the end and at most.
  private static func sizes(_ subject: VMSubject) -> DataTable {
    let memory = subject.vm.memory
    let basis = memory.basis
    var table = DataTable(
      caption: "Sizes", header: ["what", "at the end", "at most", "basis"], numbers: [1, 2])
    func row(_ name: String, _ live: Int, _ peak: Int, _ text: (UInt64) -> String) {
      table.row(name, text(UInt64(max(live, 0))), text(UInt64(max(peak, 0))), basis: basis)
    }
    func row(_ name: String, _ level: ReplayReport.Level?, _ text: (UInt64) -> String) {
      if let level { row(name, level.live, level.peak, text) }
    }
    let count: (UInt64) -> String = { Quantity.count($0) }
    if let mappings = memory.mappings {
      row("mappings", mappings.live, mappings.peak, count)
      row("of pages", mappings.page, count)
      row("of blocks", mappings.block, count)
    }
    row("mapping tree", memory.mappingTreeBytes, Quantity.bytes)
    if let tables = memory.tablePages {
      row("table pages", tables.live, tables.peak, count)
      for (level, pages) in tables.byLevel.sorted(by: { $0.key < $1.key }) {
        row("of level \(level)", pages, count)
      }
    }
    row("pages in memcaches", memory.memcachePages, count)
    row("all bytes", memory.totalBytes, Quantity.bytes)
    if let depth = memory.treeDepth {
      table.row(
        "depth of the tree", Quantity.fixed(depth.mean, digits: 1) + " mean", Quantity.count(depth.max),
        basis: basis)
    }
    return table
  }

  /// What it consists of at the end.
  private static func parts(_ subject: VMSubject) -> DataTable {
    let memory = subject.vm.memory
    let basis = memory.basis
    var table = DataTable(
      caption: "What it consists of at the end", header: ["what", "bytes", "basis"], numbers: [1])
    func row(_ name: String, _ bytes: Int?) {
      if let bytes { table.row(name, Quantity.bytes(UInt64(max(bytes, 0))), basis: basis) }
    }
    for part in ReplayReport.MemoryParts.Part.allCases { row(part.title, memory.parts?.bytes[part]) }
    row("held by the host", memory.hostBytes)
    row("held by EL2", memory.hypBytes)
    row("all, before the VM was gone", memory.lastState?.totalBytes)
    row("for each GiB in use", memory.bytesPerTouchedGiB)
    return table
  }
}
