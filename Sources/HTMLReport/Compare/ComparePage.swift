internal import Reporting

/// The page of a comparison: what was compared, what differs and by how much, and what does not.
struct ComparePage {
  let comparison: Comparison
  let thresholds: [HTMLReport.NamedThreshold]
  let maker: String

  /// The whole page.
  var markup: Markup {
    let names = [comparison.before, comparison.after].map { FileName.last($0.name) }
    var frame = PageFrame(
      title: "\(names[1]) against \(names[0])",
      subtitle: comparison.subject == .kernels
        ? "One recorded workload under two kernels, as a model of each kernel's stage-2 MMU answers every recorded access."
        : "Recordings against recordings, each replayed as the kernel that recorded it.",
      maker: maker)
    var sections = SectionList("h2")
    sections.add("basis", "How to read it", KindSection(comparison: comparison).markup)
    sections.add("compared", "What was compared", ComparedSection(comparison: comparison).markup)
    sections.add(
      "thresholds", "Thresholds", ThresholdSection(comparison: comparison, thresholds: thresholds).markup)
    sections.add("differences", "What differs", DifferenceSection(comparison: comparison).markup)
    sections.add(
      "others", "What does not differ, or is not known", DifferenceSection(comparison: comparison).others)
    frame.add(sections)
    return frame.markup
  }
}

/// What the words of a comparison say.
struct KindSection {
  let comparison: Comparison

  var markup: Markup {
    var table = DataTable(caption: "What kind of difference it is", header: ["kind", "what it says"])
    for row in comparison.rows where !table.rows.contains(where: { $0[0].text == row.kindText }) {
      table.row(row.kindText, row.kindMeaning)
    }
    return BasisSection.bases(computedFrom: "a stated model") + rule + table.markup
  }

  private var rule: Markup {
    .paragraph(
      "A difference is the second side's figure less the first's; its percentage is of the first. "
        + (comparison.subject == .kernels
          ? "Where the trace leaves a side open, figures and differences go from the least to the most that it allows."
          : comparison.noiseNote))
  }
}
