internal import KVMTypes
internal import Stage2Replay

extension ReplayReport {
  /// How many causes the page shows.
  private static let causesMax = 8

  /// The divergences: the unexplained ones in full, the others as counts by rule and exception.
  func writeDivergences(_ page: inout TextPage) {
    let all = divergences
    page.blank()
    page.line(PageText("divergences: ") + (all.found ?? PageText(noDivergence)))
    let unexplained = all.items.filter { $0.verdict == .unexplained }
    for item in unexplained.prefix(Self.causesMax) { write(item, &page) }
    if unexplained.count > Self.causesMax {
      page.line("and \(unexplained.count - Self.causesMax) more causes; --json lists them")
    }
    let others = all.items.filter { $0.verdict != .unexplained }
    for verdict in [DivergenceVerdict.explained, .unknown] {
      let items = others.filter { $0.verdict == verdict }
      guard !items.isEmpty else { continue }
      write(verdict, items, &page)
    }
  }

  /// What is said where no event breaks a rule.
  private var noDivergence: String {
    let faults = vms.reduce(0) { $0 + ($1.faults?.total ?? 0) }
    return faults == 1
      ? "none, the one fault fits the model"
      : "none, every one of \(Quantity.count(faults)) faults fits the model"
  }

  /// By rule and exception, in a few words each, the most frequent first.
  private func write(_ verdict: DivergenceVerdict, _ items: [DivergencesEntry.Item], _ page: inout TextPage) {
    var counts: [Cause: Int] = [:]
    for item in items { counts[Cause(rule: item.rule, exception: item.exception), default: 0] += item.count }
    let sorted = counts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key.order < $1.key.order }
    for (position, (cause, count)) in sorted.prefix(Self.causesMax).enumerated() {
      let exception = cause.exception.map { ", by \($0.id) \($0.title)" } ?? ""
      page.row(
        position == 0 ? verdict.name : "",
        "\(Quantity.count(count)) of \(cause.rule.id) \(cause.rule.title)\(exception)",
        verdict == .explained ? .good : .doubt)
    }
    if sorted.count > Self.causesMax {
      page.row("", "and \(sorted.count - Self.causesMax) more; --json lists them")
    }
  }

  /// Why an event contradicts the model.
  private struct Cause: Hashable {
    let rule: DivergenceRule
    let exception: DivergenceException?

    /// What causes of equal frequency go by.
    var order: (String, String) { (rule.id, exception?.id ?? "") }
  }

  private func write(_ item: DivergencesEntry.Item, _ page: inout TextPage) {
    page.blank()
    page.row(item.rule.id, item.rule.title, .bad)
    page.row(
      "",
      "at \(unit.moment(item.timeNs)), thread \(item.tid) on CPU \(item.cpu)"
        + (item.vm.map { ", VM \($0)" } ?? "") + (item.ipa.map { ", ipa \(Self.hex($0))" } ?? "")
        + (item.count > 1 ? ", \(Quantity.count(item.count)) times" : ""))
    page.row("observed", item.observed)
    page.row("expected", item.expected)
    for event in item.recentEvents {
      page.row(
        event.event == item.recentEvents.first?.event && event.timeNs == item.recentEvents.first?.timeNs
          ? "before" : "",
        "\(unit.moment(event.timeNs)) thread \(event.tid): \(event.event.word)"
          + (event.level.map { " level \($0)" } ?? "") + (event.access.map { " \($0.word)" } ?? "")
          + " \(Self.hex(event.ipa))" + (event.pages > 1 ? ", \(event.pages) pages" : "")
          + ": \(event.effect.word)")
    }
  }

  /// An address or bits, as all reports write them.
  package static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}

extension DivergencesEntry {
  /// "2 unexplained, 0 explained, 1 where the state was not known", or that it is unknown, and why.
  var words: PageText { found ?? counts }

  /// What was found, or why nothing could be; nil where faults were held against the model, and all fit.
  fileprivate var found: PageText? {
    let none = unexplained + explained + unknown == 0
    guard let uncheckedWhy else { return none ? nil : counts }
    return none ? PageText("unknown: \(uncheckedWhy)") : counts + "; \(uncheckedWhy)"
  }

  private var counts: PageText {
    func count(_ number: Int, _ words: String, _ style: PageStyle) -> PageText {
      PageText("\(Quantity.count(number)) \(words)", number > 0 ? style : nil)
    }
    return count(unexplained, "unexplained", .bad) + ", " + count(explained, "explained", .good) + ", "
      + count(unknown, "where the state was not known", .doubt)
  }
}
