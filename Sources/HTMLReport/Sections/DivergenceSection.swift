internal import KVMTypes
internal import Reporting
internal import Stage2Replay

/// Events that contradict the model, folded by what they break and why.
enum DivergenceSection {
  /// Divergences of one cause.
  private struct Cause {
    var verdict: DivergenceVerdict
    var rule: DivergenceRule
    var exception: DivergenceException?
    var items: [DivergencesEntry.Item] = []

    var count: Int { items.reduce(0) { $0 + $1.count } }
    var title: String {
      "\(verdict.name): \(Quantity.count(count)) of \(rule.id), \(rule.title)"
        + (exception.map { ", by \($0.id), \($0.title)" } ?? "")
    }
  }

  static func markup(_ report: ReplayReport) -> Markup {
    let all = report.divergences
    let causes = causes(all.items)
    return .element("p") {
      "\(all.statement). "
      if causes.isEmpty, all.uncheckedWhy == nil {
        "No event that was held against the model contradicts it. "
      }
      "The verb rules tells what every fault is held against."
    } + causes.prefix(PageLimits.causes).reduce(into: Markup()) { $0 += markup($1, report) }
      + LeftOut.note(causes.count - PageLimits.causes, "cause")
  }

  /// The causes: the unexplained ones first, then the most frequent.
  private static func causes(_ items: [DivergencesEntry.Item]) -> [Cause] {
    var causes: [Cause] = []
    for item in items {
      let known = causes.firstIndex {
        ($0.verdict, $0.rule, $0.exception) == (item.verdict, item.rule, item.exception)
      }
      if known == nil {
        causes.append(Cause(verdict: item.verdict, rule: item.rule, exception: item.exception))
      }
      causes[known ?? causes.count - 1].items.append(item)
    }
    func order(_ cause: Cause) -> (Int, Int, String) {
      (cause.verdict == .unexplained ? 0 : cause.verdict == .explained ? 1 : 2, -cause.count, cause.rule.id)
    }
    return causes.sorted { order($0) < order($1) }
  }

  private static func markup(_ cause: Cause, _ report: ReplayReport) -> Markup {
    let content =
      cause.items.prefix(PageLimits.divergences).reduce(into: Markup()) { $0 += markup($1, report) }
      + LeftOut.note(cause.items.count - PageLimits.divergences, "place")
    return .folded(cause.title, isOpen: cause.verdict == .unexplained, content)
  }

  private static func markup(_ item: DivergencesEntry.Item, _ report: ReplayReport) -> Markup {
    let unit = report.inputs.first?.unit ?? .nanoseconds
    var table = DataTable(
      caption: "\(item.rule.id) at \(unit.stamp(item.timeNs))", header: ["what", "value"])
    table.row(
      "where",
      "thread \(item.tid) on CPU \(item.cpu)" + (item.vm.map { ", VM \($0)" } ?? "")
        + (item.ipa.map { ", ipa \(ReplayReport.hex($0))" } ?? "")
        + (item.count > 1 ? ", \(Quantity.count(item.count)) times" : ""))
    table.row("observed", item.observed)
    table.row("expected", item.expected)
    table.row("basis of the state", item.basis.name)
    if let state = item.state {
      table.row(
        "the model's walk",
        "ends at level \(state.level)"
          + (state.prot.map { ", rights \(ReplayReport.hex($0))" } ?? ", nothing mapped")
          + (state.young.map { $0 ? ", young" : ", old" } ?? ""))
    }
    var events = DataTable(
      caption: "In the region before",
      header: ["at", "thread", "CPU", "event", "level", "access", "ipa", "pages", "effect"],
      numbers: [0, 1, 2, 4, 6, 7])
    for event in item.recentEvents {
      events.row(
        unit.moment(event.timeNs), String(event.tid), String(event.cpu), event.event.word,
        event.level.map { String($0) } ?? "",
        event.access?.word ?? "", ReplayReport.hex(event.ipa), Quantity.count(UInt64(event.pages)),
        event.effect.word)
    }
    return table.markup + events.markup
  }
}
