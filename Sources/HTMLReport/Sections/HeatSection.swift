internal import KVMTypes
internal import Pictures
internal import Reporting

/// What happened to the guest's memory, by address and time, and the regions in which most happened page by page.
enum HeatSection {
  /// The height of the overview that it gets close to where there are enough rows.
  private static let height = 420
  /// The heights of a row.
  private static let rowHeights = 1...14

  static func markup(_ subject: VMSubject, _ budget: inout PictureBudget) -> Markup {
    guard let pictures = subject.pictures else { return Markup() }
    guard let map = pictures.heat else {
      return VMSection.part(
        "Guest memory over time",
        .element("p") {
          (subject.vm.faults == nil ? "Nothing tells what happened" : "Nothing happened")
            + " to the guest's memory, or the VM is not among the first \(ReplayPictures.heatMapsMax) that appeared: there is no map of it."
        })
    }
    let layers = HeatLayers(map)
    let drawn = HeatLayers.Layer.allCases.compactMap { layer in
      layers.picture(layer).map { HeatPlot.Layer(name: layer.rawValue, picture: $0) }
    }
    let numbers = layers.numbers.text
    guard budget.take(drawn.reduce(numbers.utf8.count) { $0 + $1.picture.address.utf8.count }) else {
      return VMSection.part(
        "Guest memory over time",
        .element("p", ["class": "note"]) { "Left out: the page would be too large. --vm chooses a VM." })
    }
    let regions = chosen(map, subject, &budget)
    let overview = overview(subject, map, layers, drawn, numbers, regions)
    return VMSection.part(
      "Guest memory over time",
      overview + slots(subject).markup + LeftOut.note(subject.vm.slots.count - PageLimits.rows, "slot")
        + RegionSection.markup(subject, map, regions))
  }

  /// The regions that the page tells page by page, by address, with their numbers.
  private static func chosen(
    _ map: HeatMap, _ subject: VMSubject, _ budget: inout PictureBudget
  ) -> [RegionSection.Region] {
    let busiest = map.details.sorted { total($1) < total($0) }.prefix(subject.regions)
    var regions: [RegionSection.Region] = []
    for region in busiest {
      let picture = RegionPicture(region, of: map)
      let found = RegionSection.Region(region: region, picture: picture, page: subject.page)
      guard budget.take(found.letters) else { break }
      regions.append(found)
    }
    return regions.sorted { $0.region.base < $1.region.base }
  }

  private static func total(_ region: HeatMap.Region) -> UInt64 {
    region.marks.reduce(0) { $0 + UInt64($1.count) }
  }

  private static func overview(
    _ subject: VMSubject, _ map: HeatMap, _ layers: HeatLayers, _ drawn: [HeatPlot.Layer], _ numbers: String,
    _ regions: [RegionSection.Region]
  ) -> Markup {
    let rowHeight = min(max(height / max(layers.rows.count, 1), rowHeights.lowerBound), rowHeights.upperBound)
    var plot = subject.plot(
      "heat", "Guest memory by address and time", description(map, subject), nil)
    plot.basis =
      Markup("faults ") + BasisMark.markup(map.told.contains(.faults) ? .recorded : nil)
      + Markup(" operations ")
      + BasisMark.markup(operationBasis(map))
    plot.note = note(map, subject, regions.count)
    let words = Quantity.bytes(map.rowBytes)
    let data = Markup.element(
      "script",
      [
        "type": "text/plain", "class": "cells", "data-columns": String(map.columns),
        "data-start": String(map.start.rawValue),
        "data-interval": String(map.interval.rawValue), "data-row-height": String(rowHeight),
        "data-row-bytes": words,
        "data-bases": layers.rows.map { $0.map { ReplayReport.hex(map.rows[$0].base.rawValue) } ?? "" }
          .joined(separator: " "),
      ]
    ) { Markup(numbers: numbers) }
    let heat = HeatPlot(
      layers: drawn, rows: layers.rows.count, rowHeight: rowHeight,
      time: map.start.rawValue..<map.begin(ofColumn: map.columns).rawValue,
      addresses: addresses(map, layers, rowHeight), slots: slots(subject, map, layers),
      links: regions.compactMap { region in
        let row = map.rows.lastIndex { $0.base <= region.region.base }
        return row.flatMap { row in layers.rows.firstIndex { $0 == row } }
          .map { ($0, region.id, "Page by page: \(region.title)") }
      }, data: data)
    return .element("div", ["class": "heat"]) {
      choice(drawn)
      heat.figure(plot)
    }
  }

  /// Boxes to choose what is seen, which work without a script.
  private static func choice(_ drawn: [HeatPlot.Layer]) -> Markup {
    .element("fieldset", ["class": "layers"]) {
      Markup.element("legend") { "Show" }
      for layer in HeatLayers.Layer.allCases where drawn.contains(where: { $0.name == layer.rawValue }) {
        Markup.element("label") {
          if layer.isShown {
            Markup.empty("input", ["type": "checkbox", "class": "show-\(layer.rawValue)", "checked": ""])
          } else {
            Markup.empty("input", ["type": "checkbox", "class": "show-\(layer.rawValue)"])
          }
          Markup.element("svg", ["width": "14", "height": "12", "aria-hidden": "true"]) {
            Markup.empty("rect", ["width": "14", "height": "12", "class": "k-\(layer.rawValue)"])
          }
          " \(layer.name)"
        }
      }
    }
  }

  /// Of all operations; nil where none is seen, and there may have been some.
  private static func operationBasis(_ map: HeatMap) -> Basis? {
    let sums = map.sums
    if map.told.isSuperset(of: [.maps, .ages, .unmaps]) { return sums.assumed > 0 ? .assumed : .derived }
    return sums.derived + sums.assumed > 0 ? .assumed : nil
  }

  private static func description(_ map: HeatMap, _ subject: VMSubject) -> String {
    let sums = map.sums
    let first = map.rows.first.map { ReplayReport.hex($0.base.rawValue) } ?? "none"
    let last = map.rows.last.map { ReplayReport.hex($0.base.rawValue) } ?? "none"
    return "Guest memory from \(first) to \(last), in rows of \(Quantity.bytes(map.rowBytes)) and columns of "
      + "\(subject.time.unit.duration(map.interval.rawValue)): \(map.words(.faults, "fault")), \(map.words(.maps, "time")) mapped, "
      + "relaxed or made young, \(map.words(.ages, "time")) aged, \(map.words(.unmaps, "time")) unmapped, write-protected or split, counted in "
      + "each row: \(Quantity.count(sums.derived)) of these operations are derived, "
      + "\(Quantity.count(sums.assumed)) assumed. Calls that failed are left out."
  }

  private static func note(_ map: HeatMap, _ subject: VMSubject, _ regions: Int) -> String {
    "A row is \(Quantity.bytes(map.rowBytes)) of guest memory; where nothing \(map.isAllTold ? "happened" : "was seen to happen") there is none. "
      + "Columns are "
      + "\(subject.intervals(of: map.interval.rawValue)). The stronger, the more: each shade "
      + "of what happened is about the double of the one before, what is mapped goes from none to all. Calls that failed are left out. "
      + "Slots are at the right. "
      + "\(Quantity.count(regions)) of the \(Quantity.count(map.regionCount, "region")) in which anything happened "
      + "are told page by page below, those in which most did; marks at the left lead there."
  }

  /// What is written at the left: where memory begins that others do not touch, and so often that the eye finds its way.
  private static func addresses(
    _ map: HeatMap, _ layers: HeatLayers, _ rowHeight: Int
  ) -> [(row: Int, label: String)] {
    let distance = (24 + rowHeight - 1) / rowHeight
    var found: [(row: Int, label: String)] = []
    for (place, row) in layers.rows.enumerated() {
      guard let row, found.last.map({ place - $0.row >= distance }) ?? true else { continue }
      let isStart = place == 0 || layers.rows[place - 1] == nil
      if isStart || found.last.map({ place - $0.row >= 2 * distance }) ?? true {
        found.append((place, ReplayReport.hex(map.rows[row].base.rawValue)))
      }
    }
    return found
  }

  /// The slots that lie in rows of the map.
  private static func slots(_ subject: VMSubject, _ map: HeatMap, _ layers: HeatLayers) -> [HeatPlot.Slot] {
    var found: [HeatPlot.Slot] = []
    for slot in subject.vm.slots.prefix(PageLimits.rows) {
      let begin = slot.gfn.multipliedReportingOverflow(by: map.pageSize.bytes).partialValue
      let end = begin.addingReportingOverflow(
        slot.pages.multipliedReportingOverflow(by: map.pageSize.bytes).partialValue
      ).partialValue
      let places = layers.rows.indices.filter { place in
        guard let row = layers.rows[place] else { return false }
        let base = map.rows[row].base.rawValue
        return base < end && base &+ map.rowBytes > begin
      }
      guard let first = places.first, let last = places.last else { continue }
      let new = HeatPlot.Slot(
        rows: first..<last + 1, label: slot.id.map { String($0) } ?? "?", isAssumed: slot.basis == .assumed)
      // A slot that is listed with several sets of flags is one.
      if !found.contains(where: { $0.rows == new.rows && $0.label == new.label }) { found.append(new) }
    }
    return found
  }

  private static func slots(_ subject: VMSubject) -> DataTable {
    var table = DataTable(
      caption: "Memslots", header: ["slot", "first frame", "pages", "host address", "flags", "basis"],
      numbers: [0, 1, 2, 3, 4])
    for slot in subject.vm.slots.prefix(PageLimits.rows) {
      table.row(
        slot.id.map { String($0) } ?? "unknown", ReplayReport.hex(slot.gfn), Quantity.count(slot.pages),
        slot.hva.map(ReplayReport.hex) ?? "unknown", ReplayReport.hex(UInt64(slot.flags)), basis: slot.basis)
    }
    return table
  }
}
