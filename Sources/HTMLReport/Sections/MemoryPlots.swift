internal import KVMTypes
internal import Pictures
internal import Reporting

/// What a VM's stage 2 maps and takes, over time.
enum MemoryPlots {
  static func markup(_ subject: VMSubject) -> Markup {
    var plots = Markup()
    if let steps = steps(subject) {
      if subject.isPKVM { plots += mappings(subject, steps) }
      plots += bytes(subject, steps) + tables(subject, steps)
    }
    return plots + mapped(subject)
  }

  /// One line or area: its name, and its value in a sample.
  private typealias Line<Sample> = (name: StaticString, value: (Sample) -> Double)

  /// Samples of the ends of intervals. Each is drawn over its interval, as what is counted in one is, but for the one in which the VM
  /// went: until that moment there is what it had last.
  private struct Steps<Sample> {
    /// Where each begins.
    private(set) var times: [UInt64]
    private(set) var samples: [Sample]
    let interval: UInt64

    /// - Parameter times: where the intervals begin.
    init(_ samples: [Sample], from times: [UInt64], interval: UInt64) {
      (self.samples, self.times, self.interval) = (samples, times, interval)
    }

    /// The VM goes, and has had `last` until then.
    mutating func end(at moment: UInt64, _ last: Sample) {
      guard let position = times.lastIndex(where: { $0 <= moment }), moment - times[position] < interval
      else {
        return
      }
      times.insert(moment, at: position + 1)
      samples.insert(last, at: position)
    }

    /// The plot of areas on top of each other, then lines.
    ///
    /// - Parameters:
    ///   - end: where the last one ends.
    ///   - most: the most that there was, within intervals, too; nil where that is not known.
    func plot(
      until end: UInt64, areas: [Line<Sample>] = [], lines: [Line<Sample>] = [], most: Int? = nil,
      called mostName: StaticString = "at most", _ unit: ValueAxis.Unit
    ) -> SeriesPlot {
      func series(_ line: Line<Sample>, isArea: Bool) -> SeriesPlot.Series {
        .init(name: line.name, values: samples.map { line.value($0) }, isArea: isArea)
      }
      let mostOfAll = most.map { most in
        SeriesPlot.Series(name: mostName, values: samples.map { _ in Double(most) })
      }
      return SeriesPlot(
        times: times, end: end,
        series: areas.map { series($0, isArea: true) } + lines.map { series($0, isArea: false) }
          + [mostOfAll].compactMap(\.self), unit: unit)
    }
  }

  /// The samples of a report's series, which has those alone that differ from the one before.
  private static func steps(_ subject: VMSubject) -> Steps<ReplayReport.MemorySeriesEntry>? {
    guard let series = subject.vm.memory.series, !series.isEmpty, let interval = subject.seriesInterval else {
      return nil
    }
    var steps = Steps(series, from: series.map { $0.timeNs - min(interval, $0.timeNs) }, interval: interval)
    if let last = subject.pictures?.lastMemory, let end = subject.vm.endedNs {
      steps.end(at: end, ReplayReport.MemorySeriesEntry(last, at: Nanoseconds(end)))
    }
    return steps
  }

  private static func figure(
    _ subject: VMSubject, _ values: SeriesPlot, _ name: String, _ title: String, _ description: String,
    _ basis: Basis?, interval: UInt64
  ) -> Markup {
    var plot = subject.plot(name, title, description, basis)
    plot.note = "As it was at the ends of \(subject.intervals(of: interval))."
    return values.figure(plot)
  }

  private static func mappings(
    _ subject: VMSubject, _ steps: Steps<ReplayReport.MemorySeriesEntry>
  ) -> Markup {
    let most = subject.vm.memory.mappings?.peak
    let values = steps.plot(
      until: subject.last,
      areas: [("blocks", { Double($0.blockMappings) }), ("pages", { Double($0.pageMappings) })], most: most,
      .count)
    return figure(
      subject, values, "mappings", "Mappings in the tree",
      "Mapping objects of pages and of blocks over time, one on top of the other: "
        + "\(most.map { Quantity.count($0) } ?? "unknown") at most.",
      subject.vm.memory.mappingsBasis, interval: steps.interval)
  }

  private static func bytes(
    _ subject: VMSubject, _ steps: Steps<ReplayReport.MemorySeriesEntry>
  ) -> Markup {
    let page = subject.report.inputs.first?.pageSize ?? 4096
    let most = subject.vm.memory.totalBytes?.peak
    let values = steps.plot(
      until: subject.last,
      areas: [
        ("mapping tree", { Double($0.mappingTreeBytes) }), ("table pages", { Double($0.tablePages * page) }),
        ("memcaches", { Double($0.memcachePages * page) }),
        ("PGD, and EL2's structures and pool", { rest($0, page) }),
      ], most: most, .bytes)
    return figure(
      subject, values, "bytes", "What the stage 2 takes",
      "Bytes of the mapping tree, of table pages, of memcaches and of the rest over time, one on top of the other: "
        + "\(most.map { Quantity.bytes(UInt64(max($0, 0))) } ?? "unknown") at most.",
      subject.vm.memory.basis, interval: steps.interval)
  }

  private static func rest(_ entry: ReplayReport.MemorySeriesEntry, _ page: Int) -> Double {
    Double(
      max(entry.totalBytes - entry.mappingTreeBytes - (entry.tablePages + entry.memcachePages) * page, 0))
  }

  private static func tables(
    _ subject: VMSubject, _ steps: Steps<ReplayReport.MemorySeriesEntry>
  ) -> Markup {
    let most = subject.vm.memory.tablePages?.peak
    let values = steps.plot(
      until: subject.last,
      lines: [
        ("table pages", { Double($0.tablePages) }), ("pages in memcaches", { Double($0.memcachePages) }),
      ],
      most: most, called: "tables at most", .count)
    return figure(
      subject, values, "tables", "Table pages",
      "Tables below the PGD, and pages held ready for tables, over time: "
        + "\(most.map { Quantity.count($0) } ?? "unknown") tables at most.",
      subject.vm.memory.tablesBasis, interval: steps.interval)
  }

  /// What is mapped at all, which the map of guest memory adds up.
  private static func mapped(_ subject: VMSubject) -> Markup {
    guard let map = subject.pictures?.heat else { return Markup() }
    let sums = (0..<map.columns).map { column in
      map.rows.reduce(0.0) { $0 + Double($1.cells[column].mappedPages) }
    }
    var steps = Steps(
      sums, from: sums.indices.map { map.begin(ofColumn: $0).rawValue }, interval: map.interval.rawValue)
    if let last = map.lastMapped, let end = subject.vm.endedNs { steps.end(at: end, Double(last)) }
    let values = steps.plot(
      until: map.begin(ofColumn: map.columns).rawValue,
      areas: [("host pages mapped, by pages or blocks", { $0 })], .count)
    return figure(
      subject, values, "mapped", "Pages that are mapped",
      "The host's pages that are mapped, by pages or blocks, over time: "
        + "\(Quantity.count(UInt64(steps.samples.max() ?? 0))) at most at the ends of intervals.",
      subject.vm.memory.mappingsBasis, interval: steps.interval)
  }
}
