internal import KVMTypes
internal import Pictures
internal import Reporting
internal import Stage2Model
internal import Stage2Replay

/// The recorded time under a VM's `mmu_lock`, and before it.
enum LockSection {
  static func markup(_ subject: VMSubject) -> Markup {
    guard let lock = subject.vm.lock else {
      return VMSection.part(
        "mmu_lock",
        .element("p") {
          "Nothing recorded how long it was held or waited for: "
          BasisMark.markup(nil)
        })
    }
    var plots = Markup()
    if let timeline = subject.pictures?.lock, !timeline.bins.bins.isEmpty {
      plots += use(subject, lock, timeline)
      if timeline.bins.bins.contains(where: { $0.holds.count > 0 }) {
        plots += durations(
          subject, timeline, "holds", "How long mmu_lock was held", \.holds,
          lock.longestHolds.enumerated().map { ($0, $1.timeNs, $1.heldNs) }, .hold)
      }
      if timeline.bins.bins.contains(where: { $0.waits.count > 0 }) {
        plots += durations(
          subject, timeline, "waits", "How long mmu_lock was waited for", \.waits,
          lock.longestWaits.enumerated().map { ($0, $1.timeNs, $1.waitedNs) }, .wait)
      }
    }
    return VMSection.part(
      "mmu_lock",
      note(subject, lock) + DataTable.row(of: modes(lock), operations(lock)) + plots
        + DataTable.row(of: holds(subject, lock), waits(subject, lock)))
  }

  private static func note(_ subject: VMSubject, _ lock: ReplayReport.LockEntry) -> Markup {
    let share = lock.utilisation.map {
      "It was held to write \(Quantity.share($0)) of the time that was replayed"
        + (lock.lifeUtilisation.map {
          ", \(Quantity.share($0)) of the \(subject.time.unit.duration(lock.lifeNs)) that the VM was there"
        } ?? "")
        + ". "
    }
    return .element("p") {
      (share ?? "")
        + "A hold is counted from the entry of a stage-2 function to its return: that is a lower bound. "
        + DurationCaveat.recorded + " "
        + (lock.untold.map { "\($0.prefix(1).uppercased() + $0.dropFirst()). " } ?? "")
      BasisMark.markup(lock.basis)
    }
  }

  private static func use(
    _ subject: VMSubject, _ lock: ReplayReport.LockEntry, _ timeline: LockTimeline
  ) -> Markup {
    let bins = timeline.bins
    let interval = Double(bins.interval.rawValue)
    func series(
      _ name: StaticString, _ time: KeyPath<LockTimeline.Bin, UInt64>, isArea: Bool
    ) -> SeriesPlot.Series {
      .init(name: name, values: bins.bins.map { Double($0[keyPath: time]) / interval }, isArea: isArea)
    }
    // What was not recorded has no line, for that would be one of zeros.
    let drawn = [
      lock.write?.heldNs.map { _ in series("held to write", \.writeHeld, isArea: true) },
      lock.read?.heldNs.map { _ in series("held to read", \.readHeld, isArea: true) },
      (lock.read?.waitNs ?? lock.write?.waitNs).map { _ in series("waited for", \.waited, isArea: false) },
    ].compactMap(\.self)
    let values = SeriesPlot(
      times: bins.bins.indices.map { bins.begin(of: $0).rawValue },
      end: bins.begin(of: bins.bins.count).rawValue, series: drawn, unit: .share)
    let words = subject.time.unit.duration(bins.interval.rawValue)
    var plot = subject.plot(
      "lock", "mmu_lock held and waited for",
      "The share of each interval of \(words) in which the lock was held to write and to read, one on top of the other, and "
        + "waited for, summed over threads: \(ValueAxis.label(values.greatest, .share)) at most.", .recorded)
    plot.note =
      "Shares of \(subject.intervals(of: bins.interval.rawValue)); summed over threads"
      + (drawn.count < 3 ? "; what has no line was not recorded" : "")
      + ". Readers hold it together, and threads wait together, so these may come to more "
      + "than 100 %; writers cannot."
    return values.figure(plot)
  }

  private static func durations(
    _ subject: VMSubject, _ timeline: LockTimeline, _ name: String, _ title: String,
    _ path: KeyPath<LockTimeline.Bin, LockTimeline.Durations>, _ longest: [(Int, UInt64, UInt64)],
    _ kind: PlotMark.Kind
  ) -> Markup {
    let bins = timeline.bins
    func values(_ percent: Int) -> [Double?] {
      bins.bins.map { $0[keyPath: path].percentile(percent).map { Double($0.rawValue) } }
    }
    let plotted = SeriesPlot(
      times: bins.bins.indices.map { bins.begin(of: $0).rawValue },
      end: bins.begin(of: bins.bins.count).rawValue,
      series: [
        .init(name: "longest", values: values(100)), .init(name: "99 % are not above", values: values(99)),
        .init(name: "50 % are not above", values: values(50)),
      ], unit: .duration)
    let count = bins.bins.reduce(0) { $0 + $1[keyPath: path].count }
    var plot = subject.plot(
      name, title,
      "The median, the 99th percentile and the longest of \(Quantity.count(count, kind.rawValue)) over time, on a scale of powers of "
        + "ten: \(Quantity.duration(UInt64(plotted.greatest))) at most.", .recorded)
    let scale = ValueAxis(.duration, upTo: plotted.greatest)
    plot.marks += longest.prefix(PageLimits.marks).map { number, time, duration in
      PlotMark(kind: kind, time: time, height: scale.share(Double(duration)), label: String(number + 1))
    }
    if !longest.isEmpty { plot.note = "Numbers mark the longest ones, as the table below has them." }
    return plotted.figure(plot)
  }

  private static func modes(_ lock: ReplayReport.LockEntry) -> DataTable {
    var table = DataTable(
      caption: "Time held and waited",
      header: ["", "mode", "count", "total", "p50", "p90", "p99", "p99.9", "longest", "basis"],
      numbers: [2, 3, 4, 5, 6, 7, 8])
    func row(_ name: String, _ mode: LockMode, _ count: Int?, _ times: [UInt64?]) {
      guard let count else { return }
      let cells =
        [name, mode.word, Quantity.count(count)] + times.map { $0.map(Quantity.duration) ?? "unknown" }
      table.rows.append(cells.map(DataTable.Cell.text) + [.basis(lock.basis)])
    }
    for (mode, entry) in [(LockMode.read, lock.read), (.write, lock.write)] {
      guard let entry else { continue }
      row(
        "held", mode, entry.acquisitions,
        [entry.heldNs, entry.heldP50Ns, entry.heldP90Ns, entry.heldP99Ns, entry.heldP999Ns, entry.heldMaxNs])
      row(
        "waited", mode, entry.waits,
        [entry.waitNs, entry.waitP50Ns, entry.waitP90Ns, entry.waitP99Ns, entry.waitP999Ns, entry.waitMaxNs])
    }
    return table
  }

  private static func operations(_ lock: ReplayReport.LockEntry) -> DataTable {
    var table = DataTable(
      caption: "Holds by the function that ran",
      header: ["in", "mode", "count", "total", "p50", "p99", "longest", "mode known"],
      numbers: [2, 3, 4, 5, 6])
    for (kind, hold) in lock.byOperation.sorted(by: {
      ($1.value.totalNs, $0.key.word) < ($0.value.totalNs, $1.key.word)
    }) {
      table.row(
        kind.name, hold.mode.word, Quantity.count(hold.count), Quantity.duration(hold.totalNs),
        Quantity.duration(hold.p50Ns),
        Quantity.duration(hold.p99Ns), Quantity.duration(hold.maxNs), basis: hold.modeBasis)
    }
    for (kind, calls) in (lock.untimed ?? [:]).sorted(by: { $0.key.word < $1.key.word }) {
      table.row(
        kind.name, calls.mode.word, calls.count.map { Quantity.count($0) } ?? "unknown", "unknown", "unknown",
        "unknown",
        "unknown", basis: calls.modeBasis)
    }
    return table
  }

  private static func holds(_ subject: VMSubject, _ lock: ReplayReport.LockEntry) -> DataTable {
    var table = DataTable(
      caption: "The longest holds", header: ["no.", "at", "held", "mode", "thread", "CPU", "in", "IPA"],
      numbers: [0, 1, 2, 4, 5])
    for (number, hold) in lock.longestHolds.prefix(PageLimits.rows).enumerated() {
      table.row(
        String(number + 1), subject.time.unit.moment(hold.timeNs), Quantity.duration(hold.heldNs),
        hold.mode.word,
        String(hold.tid), String(hold.cpu), hold.operation.name, ReplayReport.hex(hold.ipa))
    }
    return table
  }

  private static func waits(_ subject: VMSubject, _ lock: ReplayReport.LockEntry) -> DataTable {
    var table = DataTable(
      caption: "The longest waits",
      header: ["no.", "at", "waited", "mode", "thread", "CPU", "for", "IPA", "behind"],
      numbers: [0, 1, 2, 4, 5])
    for (number, wait) in lock.longestWaits.prefix(PageLimits.rows).enumerated() {
      table.row(
        String(number + 1), subject.time.unit.moment(wait.timeNs), Quantity.duration(wait.waitedNs),
        wait.mode.word,
        String(wait.tid), String(wait.cpu), wait.operation?.name ?? "unknown",
        wait.ipa.map(ReplayReport.hex) ?? "unknown",
        wait.holder.map { "\($0.operation.name) by \($0.tid)" } ?? "unknown")
    }
    return table
  }
}
