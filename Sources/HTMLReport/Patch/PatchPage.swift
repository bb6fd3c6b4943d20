internal import KVMTypes
internal import Reporting

/// The page of a patch: whether the second side does anything else than the first, after which call first, how often, and in which
/// figures.
struct PatchPage {
  let report: PatchReport
  let thresholds: [HTMLReport.NamedThreshold]
  let maker: String

  /// The whole page.
  var markup: Markup {
    var frame = PageFrame(
      title: "\(FileName.last(report.after.name)) against \(FileName.last(report.before.name))",
      subtitle: "The stage-2 code of two kernels under the calls of the same recordings.", maker: maker)
    var sections = SectionList("h2")
    sections.add("basis", "How to read it", basis)
    sections.add("recordings", "Whether they differ", recordings)
    sections.add("lost", "What could not be compared", lost)
    sections.add(
      "first", "Where they differ first", FirstDifferenceSection(recordings: report.recordings).markup)
    sections.add("counts", "How often", counts.markup)
    sections.add("warnings", "Warnings of the kernel", warnings.markup)
    sections.add(
      "thresholds", "Thresholds",
      ThresholdSection(comparison: report.comparison, thresholds: thresholds).markup)
    sections.add("figures", "Figures", DifferenceSection(comparison: report.comparison).markup)
    sections.add(
      "others", "Figures that are the same", DifferenceSection(comparison: report.comparison).others)
    sections.add("sides", "The two sides", sides)
    frame.add(sections)
    return frame.markup
  }

  private var basis: Markup {
    KindSection(comparison: report.comparison).markup + .paragraph(PatchReport.course)
  }

  private var recordings: Markup {
    var table = DataTable(
      caption: "The recordings",
      header: ["recording", "VMs", "calls", "compared", "that differ", "VMs lost"],
      numbers: [1, 2, 3, 4, 5])
    for recording in report.recordings.prefix(PageLimits.rows) {
      table.row(
        recording.path, Quantity.count(recording.vms), Quantity.count(recording.calls),
        Quantity.count(recording.compared), Quantity.count(recording.differing),
        Quantity.count(recording.lost.count))
    }
    let differing = report.recordings.count { $0.differing > 0 }
    let verdict =
      switch report.verdict {
      case .same:
        "No call of any recording returns or does anything else on the second side than on the first."
      case .unknown: "Nothing was compared: no recording leads to a call of a stage-2 function."
      case .differs where differing == 0: "No call that could be compared differs, but VMs were lost."
      case .differs:
        "The sides differ in \(Quantity.count(differing)) of \(Quantity.count(report.recordings.count, "recording"))."
      }
    return .paragraph(verdict) + .list(report.notes) + table.markup
      + LeftOut.note(report.recordings.count - PageLimits.rows, "recording", "all are in the figures")
  }

  private var lost: Markup {
    var table = DataTable(
      caption: "VMs that a side could not go on with",
      header: ["VM", "recording", "side", "what happened", "in", "shown once more by"])
    let all = report.recordings.flatMap { recording in recording.lost.map { (recording.path, $0) } }
    for (path, lost) in all.prefix(PageLimits.rows) {
      table.row(
        Quantity.count(lost.vm), path, lost.side, lost.reason, lost.words,
        lost.reproducer.map { "patch --reproduce \($0)" } ?? "")
    }
    guard !all.isEmpty else { return Markup() }
    return .paragraph("From there on these VMs are left out on both sides, also of the figures.")
      + table.markup
      + LeftOut.note(all.count - PageLimits.rows, "VM")
  }

  private var counts: DataTable {
    var table = DataTable(
      caption: "Calls that differ", header: ["operation", "differs in", "recording", "calls"], numbers: [3])
    for recording in report.recordings {
      for count in recording.differences {
        table.row(count.operation, count.kind, recording.path, Quantity.count(count.count))
      }
    }
    return table
  }

  private var warnings: DataTable {
    var table = DataTable(caption: "Warnings", header: ["warning", "before", "after"], numbers: [1, 2])
    for warning in report.warnings {
      table.row(warning.text, Quantity.count(warning.before), Quantity.count(warning.after))
    }
    return table
  }

  private var sides: Markup {
    var table = DataTable(caption: "The sides", header: ["side", "name", "shared object", "self-test"])
    for (word, side) in [("before", report.before), ("after", report.after)] {
      table.row(word, side.name, side.path ?? "none: the model", side.selfTest ?? "none was made")
    }
    let isSame = report.before.restated == report.after.restated
    return table.markup + restated(report.before, isSame ? "on both sides" : "before")
      + (isSame ? Markup() : restated(report.after, "after"))
  }

  private func restated(_ side: PatchReport.Side, _ word: String) -> Markup {
    side.restated.isEmpty
      ? Markup()
      : .paragraph("Restated, and not the kernel's own C, \(word):") + .list(side.restated)
  }
}
