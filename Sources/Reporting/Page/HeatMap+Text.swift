internal import KVMTypes
package import Pictures

/// Which digit stands for how much: 1 for the least, 9 for the most, and between them steps by one factor.
struct HeatDigits {
  static let most = 9

  /// The least that has the digit of the position, from 1 on.
  private let thresholds: [Int]

  /// Digits for what is `largest` at most: the factor is the least with which nine of them are enough.
  init(largest: Int) {
    let factor = (2...).first { factor in
      var reach = 1
      for _ in 0..<Self.most where reach <= largest { reach *= factor }
      return reach > largest
    }!
    var thresholds = [1]
    while thresholds.count < Self.most, thresholds.last! * factor <= largest {
      thresholds.append(thresholds.last! * factor)
    }
    self.thresholds = thresholds
  }

  /// The digit of a number, 0 for nothing.
  func digit(_ count: Int) -> Int { thresholds.lastIndex { $0 <= count }.map { $0 + 1 } ?? 0 }

  /// "1: 1, 2: 2 to 3, 3: 4 and more".
  var legend: String {
    thresholds.indices.map { position in
      let first = Quantity.count(thresholds[position])
      if position == thresholds.count - 1 { return "\(position + 1): \(first) and more" }
      let last = thresholds[position + 1] - 1
      return "\(position + 1): \(first)" + (last > thresholds[position] ? " to \(Quantity.count(last))" : "")
    }.joined(separator: ", ")
  }
}

/// A map of guest memory in characters: a digit says how much happened, a dot that memory is mapped and nothing did.
struct HeatDrawing {
  /// The most rows and gaps, so that one VM fits on a screen.
  static let linesMax = 40

  private let map: HeatMap
  private let whole: HeatMap
  private let slots: [Slot]
  private let unit: StampUnit
  private let form: PageForm
  private let digits: HeatDigits
  private let nameWidth: Int
  private let addressWidth: Int

  private struct Slot: Hashable {
    var name: String
    var range: Range<UInt64>
  }

  init(_ whole: HeatMap, _ slots: [ReplayReport.SlotEntry], _ unit: StampUnit, _ form: PageForm) {
    let page = whole.pageSize.bytes
    var known: [Slot] = []
    for slot in slots {
      let begin = slot.gfn.multipliedSaturated(by: page)
      let slot = Slot(
        name: slot.id.map { String($0) } ?? "?",
        range: begin..<begin.addingSaturated(slot.pages.multipliedSaturated(by: page)))
      if !known.contains(slot) { known.append(slot) }
    }
    self.slots = known
    let address = ReplayReport.hex(whole.rows.last?.base.rawValue ?? 0).count
    let name = 11
    map = whole.condensed(columns: form.width - 2 - name - 1 - address - 3, lines: Self.linesMax)
    digits = HeatDigits(largest: map.rows.lazy.flatMap(\.cells).map(\.total).max() ?? 0)
    (self.whole, self.unit, self.form, nameWidth, addressWidth) = (whole, unit, form, name, address)
  }

  /// Writes the map with its axes and what its characters mean.
  func write(_ page: inout TextPage) {
    page.blank()
    page.heading("guest memory of VM \(map.vm) by address and time: how much happened to it")
    var named: Set<Slot> = []
    for row in map.rows.indices {
      let gap = map.gap(before: row)
      if gap > 0 {
        named = []
        page.drawing(
          PageText(
            TextPage.blanks(2 + nameWidth + 1) + pad("...", addressWidth) + " "
              + "  \(Quantity.bytes(gap)): \(nothing)"))
      }
      page.drawing(line(row, &named))
    }
    let lacks = (0..<map.columns).map(map.lacksEvents)
    if lacks.contains(true) { writeLacks(lacks, &page) }
    writeTimes(&page)
    writeLegend(lacks.contains(true), &page)
  }

  private func line(_ row: Int, _ named: inout Set<Slot>) -> PageText {
    let base = map.rows[row].base.rawValue
    let here = slots.filter {
      $0.range.lowerBound < base.addingSaturated(map.rowBytes) && $0.range.upperBound > base
    }
    let new = here.filter { named.insert($0).inserted }
    let name =
      new.isEmpty ? "" : "slot\(new.count > 1 ? "s" : "") " + new.map(\.name).joined(separator: ",")
    let fitting = name.count > nameWidth ? name.prefix(nameWidth - 2) + ".." : name[...]
    let address = ReplayReport.hex(base)
    var text = PageText(
      "  " + pad(String(fitting), nameWidth) + " " + TextPage.blanks(addressWidth - address.count) + address
        + " " + edge)
    var piece = ""
    var style: PageStyle?
    for cell in map.rows[row].cells {
      let digit = digits.digit(cell.total)
      let next: PageStyle? = digit == 0 ? nil : digit <= 3 ? .low : digit <= 6 ? .medium : .high
      if next != style {
        text = text + PageText(piece, style)
        (piece, style) = ("", next)
      }
      piece += digit > 0 ? String(digit) : cell.mappedPages > 0 ? mapped : " "
    }
    return text + PageText(piece, style) + edge
  }

  /// A row for the columns in which events are missing.
  private func writeLacks(_ lacks: [Bool], _ page: inout TextPage) {
    let name = pad("events lost", nameWidth + 1 + addressWidth)
    let marks = lacks.map { $0 ? "!" : " " }.joined()
    page.drawing(PageText("  \(name) \(edge)") + PageText(marks, .bad) + PageText(edge))
  }

  private var edge: String { form.hasBlocks ? "│" : "|" }
  private var mapped: String { form.hasBlocks ? "·" : "." }

  /// The axis of time: a tick at each quarter of the map, with the time since its beginning.
  private func writeTimes(_ page: inout TextPage) {
    let indent = TextPage.blanks(2 + nameWidth + 1 + addressWidth + 1)
    let ticks = map.columns < 8 ? [0, map.columns] : (0...4).map { $0 * map.columns / 4 }
    let (corner, dash) = form.hasBlocks ? ("┴", "─") : ("+", "-")
    var axis = ""
    for column in 0...map.columns { axis += ticks.contains(column) ? corner : dash }
    page.drawing(PageText(indent + axis))
    let labels = ticks.map {
      $0 == 0 ? "0" : unit.duration((map.begin(ofColumn: $0) - map.start).rawValue)
    }
    // The last one ends at its tick, so that it stays on the map.
    let last = max(map.columns + 1 - labels[labels.count - 1].count, 2)
    var text = labels[0]
    for (tick, label) in zip(ticks, labels).dropFirst().dropLast()
    where tick > text.count && tick + label.count < last {
      text += TextPage.blanks(tick - text.count) + label
    }
    text += TextPage.blanks(last - text.count) + labels[labels.count - 1]
    page.drawing(PageText(indent + text))
  }

  private func writeLegend(_ lacksEvents: Bool, _ page: inout TextPage) {
    let columns =
      whole.columns == map.columns ? "" : ", \(map.interval.rawValue / whole.interval.rawValue) of the map's"
    let merged = map.rowBytes / whole.rowBytes
    page.line(
      "  across: time since \(unit.stamp(map.start.rawValue)), \(unit.duration(map.interval.rawValue)) a column\(columns)"
    )
    page.line(
      "  down: addresses (IPA), \(Quantity.bytes(map.rowBytes)) a row"
        + (merged > 1
          ? ": \(Quantity.count(whole.rows.count, "row")) of \(Quantity.bytes(whole.rowBytes)) are \(Quantity.count(map.rows.count)), "
            + "to fit \(Self.linesMax) lines" : ""))
    page.line("  \(digits.legend); \(mapped) mapped, and \(nothing)")
    if lacksEvents {
      page.line(
        "  !: events of some CPU are missing there: more may have happened, and what is mapped may differ")
    }
    let sums = whole.sums
    page.line(
      "  in all \(whole.words(.faults, "fault"))\(whole.told.contains(.faults) ? " (recorded)" : ""); "
        + "\(whole.words(.maps, "map")), with relax_perms and mkyoung, \(whole.words(.ages, "age")), "
        + "\(whole.words(.unmaps, "unmap")), with wrprotect and split: "
        + "\(Quantity.count(sums.derived)) derived, \(Quantity.count(sums.assumed)) assumed; a call "
        + "counts once in each \(Quantity.bytes(whole.rowBytes)) that it is about, and not at all where it failed"
    )
  }

  /// What is said of memory of which nothing is seen.
  private var nothing: String { whole.isAllTold ? "nothing happened" : "nothing seen" }

  private func pad(_ text: String, _ width: Int) -> String {
    text + TextPage.blanks(max(0, width - text.count))
  }
}

extension HeatMap {
  /// "3 faults", or "unknown faults" where it is not known how many there were, with those that are seen.
  package func words(_ happening: Happening, _ thing: String) -> String {
    let seen = sums[happening]
    if told.contains(happening) { return Quantity.count(seen, thing) }
    return "unknown \(thing)s" + (seen > 0 ? " but \(Quantity.count(seen)) seen" : "")
  }

  /// Draws the map on a page.
  func write(_ slots: [ReplayReport.SlotEntry], _ unit: StampUnit, _ page: inout TextPage) {
    HeatDrawing(self, slots, unit, page.form).write(&page)
  }
}
