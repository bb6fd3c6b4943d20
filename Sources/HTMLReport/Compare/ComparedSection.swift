internal import KVMTypes
internal import Reporting

/// What the two sides are.
struct ComparedSection {
  let comparison: Comparison

  var markup: Markup {
    (comparison.subject == .kernels ? kernels : recordings) + .list(comparison.statements)
  }

  private var kernels: Markup {
    guard let before = comparison.before.described.first, let after = comparison.after.described.first else {
      return Markup()
    }
    let pairs = zip(before.facts, after.facts).map { ($0, $1) }
    func table(_ caption: String, _ pairs: [(Comparison.Fact, Comparison.Fact)]) -> DataTable {
      var table = DataTable(
        caption: caption,
        header: ["field", "before: \(before.name)", "basis", "after: \(after.name)", "basis"])
      for (first, second) in pairs {
        table.rows.append([
          .text(first.name), .text(first.value), .basis(first.basis), .text(second.value),
          .basis(second.basis),
        ])
      }
      return table
    }
    let differing = pairs.filter { $0.value != $1.value }
    let same = pairs.filter { $0.value == $1.value }
    return DataTable.row(of: recording, table("What the kernels differ in", differing))
      + (differing.isEmpty ? .paragraph("The two kernels have the same profile.") : Markup())
      + (same.isEmpty
        ? Markup()
        : .folded(
          "\(Quantity.count(same.count, "field")) of the profile \(same.count == 1 ? "is" : "are") the same",
          table("What the kernels have in common", same).markup))
  }

  private var recording: DataTable {
    var table = DataTable(caption: "The recording", header: ["what", "value", "basis"])
    guard let recording = comparison.recording else { return table }
    table.row("recording", recording.name, basis: .recorded)
    for fact in recording.facts { table.row(fact.name, fact.value, basis: fact.basis) }
    return table
  }

  private var recordings: Markup {
    let sides = [("before", comparison.before), ("after", comparison.after)]
    let all = sides.flatMap { word, side in side.described.map { (word, $0) } }
    guard let first = all.first else { return Markup() }
    var table = DataTable(
      caption: "The recordings", header: ["recording", "side"] + first.1.facts.map(\.name))
    for (word, recording) in all.prefix(PageLimits.rows) {
      table.rows.append(
        [.text(recording.name), .text(word)] + recording.facts.map { .known($0.value, $0.basis) })
    }
    return table.markup + LeftOut.note(all.count - PageLimits.rows, "recording", "all are in the figures")
  }
}
