internal import KVMTypes
internal import Reporting
internal import Stage2Model
internal import Stage2Replay

/// What one recording is, and what came of its replay.
enum SummarySection {
  static func markup(_ recording: HTMLReport.Recording) -> Markup {
    let report = recording.report
    var trace = DataTable(caption: "The recording", header: ["what", "value", "basis"])
    for input in report.inputs {
      trace.row("events", Quantity.count(input.events), basis: .recorded)
      if let events = input.window?.events {
        trace.row("events in the part that was replayed", Quantity.count(events), basis: .recorded)
      }
      let time = input.replayed.upperBound - input.replayed.lowerBound
      let isTold = input.firstNs != nil
      trace.row(
        "time", isTold ? input.unit.duration(time) : "unknown", basis: isTold ? .recorded : nil)
      trace.row(
        "lost events", input.lossText,
        basis: input.lossesUnknown == true ? nil : .recorded)
      if let kernel = input.kernel { trace.row("kernel", kernel, basis: .recorded) }
      if let size = input.pageSize {
        trace.row("page size", Quantity.bytes(UInt64(size)), basis: input.pageSizeBasis)
      }
      trace.row("format", "\(input.format), \(Quantity.count(input.cpus, "CPU"))", basis: .recorded)
      if let words = input.recordingText { trace.row("what it says of itself", words, basis: .recorded) }
      if input.clockUnit != nil {
        trace.row("clock", "\(input.clock ?? "unknown"): all times are in its ticks", basis: .recorded)
      }
    }
    return DataTable.row(of: results(report), trace, model(report)) + notKnown(report)
  }

  private static func model(_ report: ReplayReport) -> DataTable {
    var table = DataTable(
      caption: "The kernel and machine that were modelled", header: ["field", "value", "basis"])
    for field in Profile.fields {
      guard let value = report.profile[field.id] else { continue }
      table.row(field.id.rawValue, value.description, basis: report.profileBasis[field.id])
    }
    return table
  }

  /// The main figures, those of all VMs together.
  private static func results(_ report: ReplayReport) -> DataTable {
    var table = DataTable(caption: "What the replay found", header: ["figure", "value", "basis"])
    for figure in report.summary { table.row(figure.name, figure.value, basis: figure.basis) }
    return table
  }

  private static func notKnown(_ report: ReplayReport) -> Markup {
    let lines =
      report.caveats + (report.notKnown ?? []).map(\.words)
      + (report.notRecorded ?? []).map { $0.why == nil ? "not recorded: \($0.statement)" : $0.statement }
    return lines.isEmpty ? Markup() : .element("h4") { "What could not be known" } + .list(lines)
  }
}

/// Sums over several recordings.
enum TotalsSection {
  static func markup(_ reports: [ReplayReport]) -> Markup {
    let all = ReplayReport(reports)
    var table = DataTable(
      caption: "The recordings", header: ["recording", "events", "VMs", "faults", "unexplained divergences"],
      numbers: [1, 2, 3, 4])
    for (position, report) in reports.enumerated() where position < PageLimits.rows {
      table.row(
        report.inputs.first?.path ?? "", Quantity.count(report.inputs.reduce(0) { $0 + $1.events }),
        report.vmCount.value, report.faultCount.value, report.unexplained.value)
    }
    if let totals = all.totals {
      table.row(
        "all", Quantity.count(totals.events), all.vmCount.value, all.faultCount.value,
        all.unexplained.value)
    }
    return table.markup + LeftOut.note(reports.count - PageLimits.rows, "recording")
      + (all.totals.map { OperationSection.operations($0.operations).markup } ?? Markup())
  }
}

/// What a page says where it does not show all.
enum LeftOut {
  static func note(_ count: Int, _ thing: String, _ where: String = "--json has all") -> Markup {
    guard count > 0 else { return Markup() }
    return .note("Left out: \(Quantity.count(count, "more \(thing)")); \(`where`).")
  }
}
