internal import KVMTypes
internal import Pictures
internal import Reporting

/// Regions of PMD_SIZE page by page, each folded away until somebody wants it.
enum RegionSection {
  /// A region with its picture.
  struct Region {
    let region: HeatMap.Region
    let id: String
    let picture: RegionPicture
    let drawn: PalettePNG
    let numbers: String

    init(region: HeatMap.Region, picture: RegionPicture, page: String) {
      self.region = region
      self.picture = picture
      id = "\(page)-at-\(String(region.base.rawValue, radix: 16))"
      drawn = picture.picture
      numbers = picture.numbers.text
    }

    /// What it takes of the page.
    var letters: Int { drawn.address.utf8.count + numbers.utf8.count }

    /// Its address.
    var title: String { ReplayReport.hex(region.base.rawValue) }
  }

  static func markup(_ subject: VMSubject, _ map: HeatMap, _ regions: [Region]) -> Markup {
    guard !regions.isEmpty else { return Markup() }
    return .element("h5") { "Page by page" } + legend
      + .element("div", ["class": "regions"]) {
        for region in regions { markup(subject, map, region) }
      } + LeftOut.note(map.regionCount - regions.count, "region", "those above are where most happened")
  }

  /// What the colours of all regions mean.
  private static var legend: Markup {
    .element("div", ["class": "legends"]) {
      LegendEntry.list(
        RegionPicture.Class.allCases.map { LegendEntry(key: .swatch(Self.style($0)), name: $0.name) })
    }
  }

  private static func style(_ kind: RegionPicture.Class) -> StaticString {
    switch kind {
    case .mappedPage: "k1"
    case .mappedBlock: "k2"
    case .old: "k3"
    case .young: "k4"
    case .fault: "k5"
    case .rights: "k6"
    case .map: "k7"
    case .block: "k8"
    case .protect: "k9"
    case .unmap: "k10"
    }
  }

  private static func markup(_ subject: VMSubject, _ map: HeatMap, _ region: Region) -> Markup {
    let counts = region.picture.counts
    let total = counts.reduce(0) { $0 + $1.count }
    return .element("details") {
      Markup.element("summary") {
        "\(region.title): \(Quantity.count(total, "event")), "
          + counts.map { "\($0.kind.name) \(Quantity.count($0.count)) (\($0.basis.name))" }.prefix(4).joined(
            separator: ", ")
          + (counts.count > 4 ? ", ..." : "")
      }
      figure(subject, map, region, counts)
      table(region, counts).markup
    }
  }

  private static func figure(
    _ subject: VMSubject, _ map: HeatMap, _ region: Region,
    _ counts: [(kind: HeatMap.MarkKind, basis: Basis, count: UInt64)]
  ) -> Markup {
    let picture = region.picture
    let rowHeight = picture.drawn(rows: region.drawn.height)
    let end = map.start.rawValue.addingReportingOverflow(
      UInt64(picture.columns).multipliedReportingOverflow(by: region.region.interval.rawValue).partialValue
    ).partialValue
    var plot = Plot(
      id: region.id, title: "\(Quantity.bytes(map.pageSize.pmdBytes)) at \(region.title)",
      description: "What happened to each page over time: "
        + counts.map { "\($0.kind.name) (\($0.basis.name)) \(Quantity.count($0.count))" }.joined(
          separator: ", ") + ".",
      basis: Markup("faults ") + BasisMark.markup(.recorded) + Markup(" operations ")
        + BasisMark.markup(counts.map(\.basis).max() ?? .recorded),
      time: subject.time, gaps: subject.gaps)
    plot.note =
      "Columns are \(subject.intervals(of: region.region.interval.rawValue)). Of what happened to a page in one column the last of the legend "
      + "is seen; where a page was mapped and unmapped in one, which came last is taken from how often each was."
    let data = Markup.element(
      "script",
      [
        "type": "text/plain", "class": "marks", "data-columns": String(picture.columns),
        "data-start": String(map.start.rawValue),
        "data-interval": String(region.region.interval.rawValue), "data-row-height": String(rowHeight),
        "data-pages": String(picture.pages), "data-pages-per-row": String(picture.pagesPerRow),
        "data-base": String(region.region.base.rawValue), "data-page-bytes": String(map.pageSize.bytes),
      ]
    ) { Markup(numbers: region.numbers) }
    let step = max(region.drawn.height / 8, 1)
    let heat = HeatPlot(
      layers: [HeatPlot.Layer(name: "pages", picture: region.drawn)], rows: region.drawn.height,
      rowHeight: rowHeight,
      time: map.start.rawValue..<max(end, map.start.rawValue.addingSaturated(1)),
      addresses: stride(from: 0, to: region.drawn.height, by: step).map { row in
        (
          row,
          ReplayReport.hex(
            region.region.base.rawValue &+ UInt64(row * picture.pagesPerRow) &* map.pageSize.bytes)
        )
      }, data: data)
    return heat.figure(plot)
  }

  private static func table(
    _ region: Region, _ counts: [(kind: HeatMap.MarkKind, basis: Basis, count: UInt64)]
  ) -> DataTable {
    var table = DataTable(
      caption: "What happened to pages of \(region.title)", header: ["what", "count", "basis"], numbers: [1])
    for (kind, basis, count) in counts { table.row(kind.name, Quantity.count(count), basis: basis) }
    return table
  }
}
