internal import KVMTypes
internal import Stage2Replay

/// Makes the heat map of one VM of what a replay tells, in bounded memory but for some 200 bytes for each region of PMD_SIZE in which
/// anything happens.
struct HeatMapBuilder {
  /// So many regions are told page by page while the replay goes on, those in which most happens.
  private static let regionsMax = 1024
  /// And so many at the end.
  private static let detailsMax = 48

  private struct Region {
    let number: UInt64
    var mapped: MappedPages
    /// Nil once there are too many regions in which more happens.
    var marks: RegionMarks?
  }

  private let vm: Int
  private let pageSize: PageSize
  private var columns: HeatColumns
  private var rows = HeatRows()
  private var positions: [UInt64: Int] = [:]
  private var regions: [Region] = []
  /// How many regions have marks.
  private var detailed = 0
  /// The region that was asked for last: the next is often the same.
  private var recent: (number: UInt64, position: Int)?

  /// - Parameter shortest: the length that columns begin with.
  init(vm: Int, _ pageSize: PageSize, shortest: Nanoseconds = EqualIntervals.shortest) {
    self.vm = vm
    self.pageSize = pageSize
    columns = HeatColumns(shortest: shortest)
  }

  mutating func add(_ fault: ObservedFault) {
    guard let kind = HeatMap.MarkKind(fault) else { return }
    let column = column(of: fault.begin)
    let page = fault.ipa.rawValue >> pageSize.shift
    mark(kind, pages: page..<page + 1, column: column, .recorded, makesRegions: true)
  }

  mutating func add(_ operation: Stage2Operation) {
    guard let kind = HeatMap.MarkKind(operation, pageSize) else { return }
    let column = column(of: operation.time)
    rows.close(before: column)
    let first = operation.address.rawValue >> pageSize.shift
    let count = max(operation.size >> pageSize.shift, 1)
    // A range that is longer than a region may be a slot's, of which the guest has touched little.
    let isLong = count > pageSize.pagesPerPMD
    mark(
      kind, pages: first..<first.addingSaturated(count), column: column, operation.basis,
      makesRegions: !isLong || operation.kind == .map)
  }

  /// The map, once all has been told.
  ///
  /// - Parameters:
  ///   - last: the last moment of what was replayed.
  ///   - end: when the VM was gone.
  /// - Returns: nil where nothing happened.
  mutating func finish(last: Nanoseconds, end: Nanoseconds?) -> HeatMap? {
    guard let start = columns.start, !regions.isEmpty else { return nil }
    var lastMapped: Int?
    if let end {
      rows.close(before: column(of: min(end, last)))
      lastMapped = rows.mappedPages
      rows.release()
    }
    _ = column(of: last)
    rows.close(before: columns.last + 1)
    let regionBytes = pageSize.pmdBytes
    let chosen = regions.indices.filter { regions[$0].marks != nil }
      .sorted {
        (regions[$1].marks!.total, regions[$0].number) < (regions[$0].marks!.total, regions[$1].number)
      }
      .prefix(Self.detailsMax)
    let details = chosen.sorted { regions[$0].number < regions[$1].number }.map { position in
      var marks = regions[position].marks!
      let found = marks.finish(doublings: columns.doublings)
      let doublings = UInt64(marks.doublings - columns.doublings)
      return HeatMap.Region(
        base: IPA(regions[position].number &* regionBytes),
        interval: Nanoseconds(columns.interval.rawValue << doublings), marks: found)
    }
    return HeatMap(
      vm: vm, pageSize: pageSize, start: start, interval: columns.interval, columns: columns.last + 1,
      rowBytes: regionBytes << rows.shift,
      rows: rows.finish(regionBytes: regionBytes, columns: columns.last + 1), details: details,
      regionCount: regions.count, lastMapped: lastMapped)
  }

  private mutating func column(of time: Nanoseconds) -> Int {
    while columns.isBeyond(time) {
      columns.double()
      rows.doubleColumns()
    }
    return columns.column(of: time)
  }

  /// Something happens to consecutive pages.
  ///
  /// - Parameter makesRegions: whether regions in which nothing has happened so far are concerned, too.
  private mutating func mark(
    _ kind: HeatMap.MarkKind, pages: Range<UInt64>, column: Int, _ basis: Basis, makesRegions: Bool
  ) {
    let perRegion = pageSize.pagesPerPMD
    let numbers = pages.lowerBound / perRegion...(pages.upperBound - 1) / perRegion
    if makesRegions {
      for number in numbers { mark(kind, pages, column, basis, at: position(of: number)) }
    } else if numbers.count > UInt64(regions.count) {
      for position in regions.indices where numbers.contains(regions[position].number) {
        mark(kind, pages, column, basis, at: position)
      }
    } else {
      for number in numbers {
        if let position = positions[number] { mark(kind, pages, column, basis, at: position) }
      }
    }
  }

  private mutating func mark(
    _ kind: HeatMap.MarkKind, _ pages: Range<UInt64>, _ column: Int, _ basis: Basis, at position: Int
  ) {
    let number = regions[position].number
    let whole = number * pageSize.pagesPerPMD..<(number + 1) * pageSize.pagesPerPMD
    let part = pages.clamped(to: whole)
    let here = Int(part.lowerBound - whole.lowerBound)..<Int(part.upperBound - whole.lowerBound)
    rows.count(kind, region: number, column: column, basis)
    regions[position].marks?.add(kind, here, column: column, doublings: columns.doublings, basis)
    guard [.mapPage, .mapBlock, .unmap].contains(kind) else { return }
    let before = regions[position].mapped.count
    regions[position].mapped.set(here, to: kind != .unmap)
    rows.change(region: number, mappedPages: before, to: regions[position].mapped.count)
  }

  private mutating func position(of number: UInt64) -> Int {
    if let recent, recent.number == number { return recent.position }
    let position = positions[number] ?? append(number)
    recent = (number, position)
    return position
  }

  private mutating func append(_ number: UInt64) -> Int {
    if detailed == Self.regionsMax { forgetQuietHalf() }
    positions[number] = regions.count
    regions.append(
      Region(
        number: number, mapped: MappedPages(pages: Int(pageSize.pagesPerPMD)),
        marks: RegionMarks(doublings: columns.doublings)))
    detailed += 1
    return regions.count - 1
  }

  /// The regions in which less happened than in the others are not told page by page any more.
  private mutating func forgetQuietHalf() {
    let order = regions.indices.filter { regions[$0].marks != nil }
      .sorted { regions[$0].marks!.total < regions[$1].marks!.total }
    for position in order.prefix(Self.regionsMax / 2) { regions[position].marks = nil }
    detailed -= Self.regionsMax / 2
  }
}
