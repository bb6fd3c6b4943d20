internal import KVMTypes
internal import Stage2Model
internal import Stage2Replay

/// Pages of one VM that an unmap took away, so that the fault which comes for one of them can be led back to the unmap.
///
/// A flow has one source and one end, for the UI leads one that goes on from end to end: each page, or block, that an unmap takes
/// away has one of its own, as far as `flowsMax` reach. It ends with the first fault that began behind the unmap and maps the page
/// again. What is mapped is what operations mapped: what was there before the recording is in no flow.
struct TakenPages {
  /// So many pages of one unmap have a flow.
  static let flowsMax = 64

  /// A page was taken away, or a block.
  struct Taking: Equatable {
    /// The number of the flow.
    var flow: UInt64
    /// When, and how that is known.
    var time: Nanoseconds
    var basis: Basis
  }

  /// The memory that one table of the last level maps, or a block in its place.
  private struct Region {
    /// A bit for each page that is mapped.
    var mapped: [UInt64]
    /// Whether a block maps it.
    var isBlock = false
    /// What was taken away, by the pages.
    var taken: [(pages: Range<Int>, taking: Taking)] = []

    var isEmpty: Bool { taken.isEmpty && mapped.allSatisfy { $0 == 0 } }

    mutating func set(_ page: Int) { mapped[page / 64] |= 1 << UInt64(page % 64) }

    /// Whether a page was mapped, which it is no more.
    mutating func clear(_ page: Int) -> Bool {
      let bit: UInt64 = 1 << UInt64(page % 64)
      defer { mapped[page / 64] &= ~bit }
      return mapped[page / 64] & bit != 0
    }
  }

  private let pageSize: PageSize
  private let identity: TrackIdentity
  private let vm: Int
  private var regions: [UInt64: Region] = [:]
  private var flows: UInt64 = 0

  init(vm: Int, _ pageSize: PageSize, _ identity: TrackIdentity) {
    (self.vm, self.pageSize, self.identity) = (vm, pageSize, identity)
  }

  /// Pages are mapped.
  ///
  /// - Parameter begin: when the fault came that maps them.
  /// - Returns: the unmaps that took them away before that.
  mutating func map(_ operation: Stage2Operation, faultFrom begin: Nanoseconds) -> [Taking] {
    guard operation.result ?? 0 == 0 else { return [] }
    var found: [Taking] = []
    for (number, pages) in parts(of: operation, onlyKnown: false) {
      var region =
        regions.removeValue(forKey: number) ?? Region(mapped: Array(repeating: 0, count: pageCount / 64))
      for page in pages { region.set(page) }
      region.isBlock = pages.count == pageCount
      region.taken.removeAll { taken in
        guard taken.pages.overlaps(pages) else { return false }
        if taken.taking.time <= begin { found.append(taken.taking) }
        return true
      }
      regions[number] = region
    }
    return Array(found.prefix(Self.flowsMax))
  }

  /// Pages are unmapped.
  ///
  /// - Returns: the flows that begin here, and how many pages were mapped.
  mutating func unmap(_ operation: Stage2Operation) -> (flows: [UInt64], pages: Int) {
    guard operation.result ?? 0 == 0 else { return ([], 0) }
    var (begun, count) = ([UInt64](), 0)
    for (number, asked) in parts(of: operation, onlyKnown: true) {
      guard var region = regions.removeValue(forKey: number) else { continue }
      // A block goes as a whole.
      let isBlock = region.isBlock
      var isTaken = false
      for page in isBlock ? 0..<pageCount : asked where region.clear(page) {
        count += 1
        isTaken = true
        if !isBlock { take(page..<page + 1, of: &region, operation, &begun) }
      }
      if isBlock, isTaken { take(0..<pageCount, of: &region, operation, &begun) }
      region.isBlock = false
      if !region.isEmpty { regions[number] = region }
    }
    return (begun, count)
  }

  private mutating func take(
    _ pages: Range<Int>, of region: inout Region, _ operation: Stage2Operation, _ begun: inout [UInt64]
  ) {
    guard begun.count < Self.flowsMax else { return }
    let flow = identity.flow(UInt64(vm) << 40 | flows)
    flows += 1
    begun.append(flow)
    region.taken.append(
      (pages, Taking(flow: flow, time: operation.time, basis: operation.basis)))
  }

  /// How many pages a region has.
  private var pageCount: Int { Int(pageSize.pagesPerPMD) }

  /// The regions of an operation, and which pages of each.
  ///
  /// - Parameter onlyKnown: whether regions of which nothing is known are left out: an unmap may be of all addresses.
  private func parts(of operation: Stage2Operation, onlyKnown: Bool) -> [(region: UInt64, pages: Range<Int>)]
  {
    let first = operation.address.rawValue >> pageSize.shift
    let size = max(operation.size, 1)
    let last = first.addingReportingOverflow((size - 1) >> pageSize.shift)
    let perRegion = UInt64(pageCount)
    let numbers = first / perRegion...(last.overflow ? .max : last.partialValue) / perRegion
    let wanted =
      onlyKnown && numbers.upperBound - numbers.lowerBound >= UInt64(regions.count)
      ? regions.keys.filter(numbers.contains).sorted() : numbers.filter { !onlyKnown || regions[$0] != nil }
    return wanted.map { number in
      let begin = number == numbers.lowerBound ? Int(first % perRegion) : 0
      let end = number == numbers.upperBound ? Int(last.partialValue % perRegion) + 1 : pageCount
      return (number, begin..<end)
    }
  }
}
