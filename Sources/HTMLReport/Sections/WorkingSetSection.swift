internal import KVMTypes
internal import Reporting

/// Which pages faults showed in use: how many by then, how many in each interval, and how long ago they were shown last.
enum WorkingSetSection {
  static func markup(_ subject: VMSubject) -> Markup {
    guard let set = subject.vm.workingSet, set.pages > 0 else { return Markup() }
    var table = DataTable(
      caption: "Pages that faults showed in use", header: ["what", "pages", "basis"], numbers: [1])
    table.row("all", Quantity.count(set.pages), basis: set.basis)
    table.row("first shown by a block", Quantity.count(set.blockPages), basis: set.basis)
    return VMSection.part("Working set", table.markup + curve(subject, set) + idle(subject, set))
  }

  private static func curve(_ subject: VMSubject, _ set: ReplayReport.WorkingSetEntry) -> Markup {
    guard let series = set.series, !series.isEmpty, let interval = subject.seriesInterval else {
      return Markup()
    }
    var times: [UInt64] = []
    var touched: [Double?] = []
    var sums: [Double?] = []
    var sum = 0
    for entry in series {
      // Intervals in which nothing was touched are not among them.
      if let end = times.last?.addingSaturated(interval), entry.timeNs > end {
        times.append(end)
        touched.append(0)
        sums.append(Double(sum))
      }
      sum += entry.firstTouchedPages
      times.append(entry.timeNs)
      touched.append(Double(entry.touchedPages))
      sums.append(Double(sum))
    }
    if let end = times.last?.addingSaturated(interval), end < subject.last {
      times.append(end)
      touched.append(0)
      sums.append(Double(sum))
    }
    let values = SeriesPlot(
      times: times, end: subject.last,
      series: [
        .init(name: "shown in each interval", values: touched, isArea: true),
        .init(name: "shown by then", values: sums),
      ], unit: .count)
    let words = subject.time.unit.duration(interval)
    var plot = subject.plot(
      "pages", "Pages that faults showed in use",
      "Pages that faults showed in use in each interval of \(words), and all that had been shown by then: "
        + "\(Quantity.count(set.pages)) in the end.", set.basis)
    plot.note =
      "In intervals of \(words). A fault that maps a block shows all of its pages, of which the guest may touch few; what it touches through a "
      + "mapping that is there leaves no event."
    return values.figure(plot)
  }

  private static func idle(_ subject: VMSubject, _ set: ReplayReport.WorkingSetEntry) -> Markup {
    guard !set.idle.isEmpty, let interval = subject.seriesInterval else { return Markup() }
    var sum = 0.0
    let sums: [Double?] = set.idle.map { entry in
      sum += Double(entry.pages)
      return sum
    }
    let last = (set.idle.last?.idleNs ?? 0).addingSaturated(interval)
    var axis = TimeAxis(0..<last, subject.time.unit)
    axis.caption = "time before the end"
    let values = SeriesPlot(
      times: set.idle.map(\.idleNs), end: last, series: [.init(name: "pages shown since then", values: sums)],
      unit: .count)
    let plot = Plot(
      id: "\(subject.page)-idle", title: "Working-set curve",
      description:
        "How many pages faults showed in use within some time before the end: \(Quantity.count(set.pages)) within all of it.",
      basis: BasisMark.markup(set.basis), time: axis,
      note: "Pages that were shown within so long before the end: an upper bound of how long they were idle.")
    return values.figure(plot)
  }
}
