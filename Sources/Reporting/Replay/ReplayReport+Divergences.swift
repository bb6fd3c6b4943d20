internal import KVMTypes
internal import Stage2Replay

extension ReplayReport {
  /// How many causes the page shows.
  private static let causesMax = 8

  /// The divergences: the unexplained ones in full, the others as counts by rule and exception.
  func writeDivergences(_ page: inout TextPage) {
    let all = divergences
    guard all.unexplained + all.explained + all.unknown > 0 else { return }
    page.blank()
    page.line(
      "divergences: \(Quantity.count(all.unexplained)) unexplained, \(Quantity.count(all.explained)) explained, "
        + "\(Quantity.count(all.unknown)) where the state was not known")
    let unexplained = all.items.filter { $0.verdict == DivergenceVerdict.unexplained.name }
    for item in unexplained.prefix(Self.causesMax) { write(item, &page) }
    if unexplained.count > Self.causesMax {
      page.line("and \(unexplained.count - Self.causesMax) more causes; --json lists them")
    }
    let others = all.items.filter { $0.verdict != DivergenceVerdict.unexplained.name }
    for verdict in [DivergenceVerdict.explained, .unknown] {
      let items = others.filter { $0.verdict == verdict.name }
      guard !items.isEmpty else { continue }
      page.row(verdict.name, summary(of: items))
    }
  }

  /// "D1 race 326, D13 race 467": by rule and exception, the most frequent first.
  private func summary(of items: [DivergencesEntry.Item]) -> String {
    var counts: [String: Int] = [:]
    for item in items {
      counts[item.rule + (item.exception.map { " by \($0)" } ?? ""), default: 0] += item.count
    }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(Self.causesMax)
      .map { "\($0.key) \(Quantity.count($0.value))" }.joined(separator: ", ")
  }

  private func write(_ item: DivergencesEntry.Item, _ page: inout TextPage) {
    page.blank()
    page.row(
      item.rule,
      "at \(Self.seconds(item.timeNs)), thread \(item.tid) on CPU \(item.cpu)"
        + (item.vm.map { ", VM \($0)" } ?? "") + (item.ipa.map { ", ipa \(Self.hex($0))" } ?? "")
        + (item.count > 1 ? ", \(Quantity.count(item.count)) times" : ""))
    page.row("observed", item.observed)
    page.row("expected", item.expected)
    for event in item.recentEvents {
      page.row(
        event.event == item.recentEvents.first?.event && event.timeNs == item.recentEvents.first?.timeNs
          ? "before" : "",
        "\(Self.seconds(event.timeNs)) thread \(event.tid): \(event.event)"
          + (event.level.map { " level \($0)" } ?? "") + (event.access.map { " \($0)" } ?? "")
          + " \(Self.hex(event.ipa))" + (event.pages > 1 ? ", \(event.pages) pages" : "")
          + ": \(event.effect)")
    }
  }

  private static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

  /// "12.000345678", as trace-cmd prints time.
  private static func seconds(_ ns: UInt64) -> String {
    let fraction = String(ns % 1_000_000_000)
    return "\(ns / 1_000_000_000)." + String(repeating: "0", count: 9 - fraction.count) + fraction
  }
}
