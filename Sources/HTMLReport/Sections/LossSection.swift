internal import KVMTypes
internal import Reporting

/// Where events are missing, and what is damaged.
enum LossSection {
  static func markup(_ recording: HTMLReport.Recording) -> Markup {
    var markup = Markup()
    for input in recording.report.inputs {
      var losses = DataTable(
        caption: "Places where events are missing", header: ["where", "CPU", "events"], numbers: [1, 2])
      for loss in input.losses.prefix(PageLimits.rows) {
        losses.row(
          loss.place(input.unit.stamp(loss.beforeNs)), String(loss.cpu),
          loss.count.map { Quantity.count($0) } ?? "unknown")
      }
      var damage = DataTable(caption: "Damaged places", header: ["byte", "CPU", "what"], numbers: [0, 1])
      for place in input.damage.prefix(PageLimits.rows) {
        damage.row(Quantity.count(place.offset), place.cpu.map { String($0) } ?? "all", place.what)
      }
      markup += losses.markup + LeftOut.note(input.lossCount - losses.rows.count, "place")
      markup += damage.markup + LeftOut.note(input.damage.count - damage.rows.count, "place")
    }
    guard !markup.isEmpty else { return markup }
    if recording.gaps.count > PageLimits.gaps {
      markup += .element("p", ["class": "note"]) {
        "There are \(Quantity.count(recording.gaps.count)) stretches in which events of some CPU are missing. Plots show neighbours "
        "as one, \(PageLimits.gaps) at most."
      }
    }
    return markup
  }
}
