internal import Reporting

/// Of each recording the first call after which two sides of a patch differ, and the first of each kind of difference.
struct FirstDifferenceSection {
  let recordings: [PatchRecording]

  /// The recordings that differ, the first of them unfolded.
  var markup: Markup {
    let differing = recordings.filter { $0.first != nil }
    let shown = differing.prefix(PageLimits.causes)
    return shown.enumerated().reduce(into: Markup()) { markup, entry in
      markup += Self.markup(entry.element, isFirst: entry.offset == 0)
    } + LeftOut.note(differing.count - PageLimits.causes, "recording")
  }

  private static func markup(_ recording: PatchRecording, isFirst: Bool) -> Markup {
    var content = Markup()
    for (kind, difference) in recording.firsts {
      let title = kind.map { "First that differs in \($0)" } ?? "First difference"
      content += markup(difference, "\(title): \(difference.kinds.joined(separator: ", "))")
    }
    return .folded(recording.path, isOpen: isFirst, content)
  }

  private static func markup(_ difference: PatchDifference, _ title: String) -> Markup {
    var table = DataTable(caption: title, header: ["what", "value"])
    table.row("call", "\(Quantity.count(difference.call)): \(difference.words)")
    table.row("the model returns", "\(difference.model)")
    if difference.sameEffects > 0 {
      table.row("both sides begin with", Quantity.count(difference.sameEffects, "effect") + " alike")
    }
    return table.markup + markup(difference.before, "before", difference.sameEffects)
      + markup(difference.after, "after", difference.sameEffects)
  }

  private static func markup(_ told: PatchDifference.Told, _ side: String, _ same: Int) -> Markup {
    .paragraph("\(side) \(told.outcome)") + .list(told.effects)
      + LeftOut.note(told.rest(behind: same), "effect", "the first of each call are told")
  }
}
