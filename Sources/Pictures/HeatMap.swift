public import KVMTypes
internal import Stage2Replay

/// What happened to the guest memory of one VM, by address and time.
///
/// The overview has a row for each region in which anything happened: of PMD_SIZE, or of several times that where there would be too many
/// rows. The regions in which most happened are told page by page besides.
public struct HeatMap: Sendable {
  /// The VM, as the report numbers them.
  public var vm: Int
  /// The host's page size.
  public var pageSize: PageSize
  /// The beginning of the first column.
  public var start: Nanoseconds
  /// The length of a column.
  public var interval: Nanoseconds
  /// How many columns there are.
  public var columns: Int
  /// The guest memory that a row stands for.
  public var rowBytes: UInt64
  /// The rows, by address. Where nothing happened there is none.
  public var rows: [Row]
  /// The regions that are told page by page, by address.
  public var details: [Region]
  /// In how many regions of PMD_SIZE anything happened.
  public var regionCount: Int
  /// The host's pages that were mapped just before the VM was gone; nil for one that is not.
  public var lastMapped: Int?
  /// When events of some CPU are missing: what is seen there may lack something.
  public var gaps: [Range<Nanoseconds>] = []
  /// Of what the recording tells all that happened; of the others that none is seen is no fact.
  public var told = Set(Happening.allCases)

  /// What cells count.
  public enum Happening: CaseIterable, Sendable {
    /// Faults.
    case faults
    /// What faults led to.
    case maps
    /// Ages, and tests of them.
    case ages
    /// Unmaps, write protections and splits.
    case unmaps
  }

  /// Whether nothing happened where nothing is seen.
  public var isAllTold: Bool { told.count == Happening.allCases.count }

  /// Everything that happened in all cells; what is mapped is left out. A call on memory of several rows counts in each.
  public var sums: Sums {
    var sums = Sums()
    for cell in rows.lazy.flatMap(\.cells) {
      sums.faults += UInt64(cell.faults)
      sums.maps += UInt64(cell.maps)
      sums.ages += UInt64(cell.ages)
      sums.unmaps += UInt64(cell.unmaps)
      sums.assumed += UInt64(cell.assumed)
    }
    return sums
  }

  /// Where a column begins; the column behind the last one begins where the map ends.
  public func begin(ofColumn column: Int) -> Nanoseconds {
    start + Nanoseconds(UInt64(column).multipliedSaturated(by: interval.rawValue))
  }

  /// Whether events of some CPU are missing in a column.
  public func lacksEvents(inColumn column: Int) -> Bool {
    let time = begin(ofColumn: column)..<begin(ofColumn: column + 1)
    return gaps.contains { $0.overlaps(time) || time.contains($0.lowerBound) }
  }

  /// How often what happened in all cells.
  public struct Sums: Hashable, Sendable {
    /// Faults, of which memory was the matter.
    public var faults: UInt64 = 0
    /// Pages and blocks mapped, rights relaxed, flags set.
    public var maps: UInt64 = 0
    /// Ages, and tests of them.
    public var ages: UInt64 = 0
    /// Unmaps, write protections and splits.
    public var unmaps: UInt64 = 0
    /// The operations among these whose basis is `assumed`.
    public var assumed: UInt64 = 0

    /// How many there are of something.
    public subscript(happening: Happening) -> UInt64 {
      switch happening {
      case .faults: faults
      case .maps: maps
      case .ages: ages
      case .unmaps: unmaps
      }
    }

    /// Those whose basis is `derived`.
    public var derived: UInt64 { max(maps + ages + unmaps, assumed) - assumed }
  }

  /// Guest memory over time.
  public struct Row: Sendable {
    /// The first address.
    public var base: IPA
    /// One for each column.
    public var cells: [Cell]
  }

  /// Guest memory in the time of one column.
  public struct Cell: Hashable, Sendable {
    /// Faults, of which memory was the matter.
    public var faults: UInt32 = 0
    /// Pages and blocks mapped, rights relaxed, flags set: what faults led to.
    public var maps: UInt32 = 0
    /// Ages, and tests of them.
    public var ages: UInt32 = 0
    /// Unmaps, write protections and splits.
    public var unmaps: UInt32 = 0
    /// The operations among these whose basis is `assumed`; that of the others is `derived`.
    public var assumed: UInt32 = 0
    /// The host's pages that were mapped at the end of the column, by pages or blocks.
    public var mappedPages: UInt32 = 0

    /// Everything that happened.
    public var total: Int { Int(faults) + Int(maps) + Int(ages) + Int(unmaps) }

    /// What happened in the next column, too.
    mutating func merge(_ next: Cell) {
      faults &+= next.faults
      maps &+= next.maps
      ages &+= next.ages
      unmaps &+= next.unmaps
      assumed &+= next.assumed
      mappedPages = next.mappedPages
    }

    /// What happened in other memory at the same time, too.
    mutating func add(_ other: Cell) {
      let mapped = mappedPages
      merge(other)
      mappedPages = mapped &+ other.mappedPages
    }
  }

  /// A region of PMD_SIZE, page by page.
  public struct Region: Sendable {
    /// The first address.
    public var base: IPA
    /// The length of its columns: that of the map's, or some doublings of it where too much happened.
    public var interval: Nanoseconds
    /// What happened, by column, page and kind.
    public var marks: [Mark]
  }

  /// What happened how often to some pages of a region in the time of one column.
  public struct Mark: Hashable, Sendable {
    /// The column.
    public var column: UInt16
    /// The first page, from the begin of the region.
    public var page: UInt16
    /// How many pages.
    public var pages: UInt16
    /// What happened.
    public var kind: MarkKind
    /// How that is known.
    public var basis: Basis
    /// How often.
    public var count: UInt32
  }

  /// What can happen to a page.
  public enum MarkKind: UInt8, CaseIterable, Sendable {
    /// A translation fault.
    case translationFault
    /// A permission fault.
    case permissionFault
    /// An access flag fault.
    case accessFlagFault
    /// A page is mapped.
    case mapPage
    /// A block is mapped.
    case mapBlock
    /// Rights are relaxed.
    case relaxPerms
    /// The access flag is set.
    case mkyoung
    /// The access flag was set, and is cleared or left.
    case foundYoung
    /// The access flag was not set.
    case foundOld
    /// Write protection.
    case wrprotect
    /// A block is split.
    case split
    /// The pages are unmapped.
    case unmap

    /// The name in reports.
    public var name: String {
      switch self {
      case .translationFault: "translation fault"
      case .permissionFault: "permission fault"
      case .accessFlagFault: "access flag fault"
      case .mapPage: "map of a page"
      case .mapBlock: "map of a block"
      case .relaxPerms: "relax_perms"
      case .mkyoung: "mkyoung"
      case .foundYoung: "test_clear_young: young"
      case .foundOld: "test_clear_young: old"
      case .wrprotect: "wrprotect"
      case .split: "split"
      case .unmap: "unmap"
      }
    }
  }
}

extension HeatMap.MarkKind {
  /// What a fault shows; nil for one that concerns no memory of a slot.
  init?(_ fault: ObservedFault) {
    guard !fault.isMMIO, fault.isInSlot else { return nil }
    switch fault.kind {
    case .translation: self = .translationFault
    case .permission: self = .permissionFault
    case .accessFlag: self = .accessFlagFault
    default: return nil
    }
  }

  /// What an operation does; nil for one that changes nothing: it failed, or writes caches back.
  init?(_ operation: Stage2Operation, _ pageSize: PageSize) {
    if let result = operation.result, result < 0 { return nil }
    switch operation.kind {
    case .map: self = operation.size > pageSize.bytes ? .mapBlock : .mapPage
    case .unmap: self = .unmap
    case .wrprotect: self = .wrprotect
    case .relaxPerms: self = .relaxPerms
    case .mkyoung: self = .mkyoung
    case .testClearYoung: self = operation.result == 1 ? .foundYoung : .foundOld
    case .split: self = .split
    case .flush: return nil
    }
  }

  /// Counts it in a cell of the overview.
  func count(in cell: inout HeatMap.Cell, _ basis: Basis) {
    switch self {
    case .translationFault, .permissionFault, .accessFlagFault: cell.faults &+= 1
    case .mapPage, .mapBlock, .relaxPerms, .mkyoung: cell.maps &+= 1
    case .foundYoung, .foundOld: cell.ages &+= 1
    case .wrprotect, .split, .unmap: cell.unmaps &+= 1
    }
    if basis == .assumed { cell.assumed &+= 1 }
  }
}

extension HeatMap {
  /// Of what a replay tells all that happened to a VM's memory.
  static func told(of vm: VMResult, _ result: ReplayResult) -> Set<Happening> {
    let certainty = Certainty(result, of: vm)
    return Set(
      Happening.allCases.filter { happening in
        switch happening {
        case .faults: result.events.tellsFaults
        case .maps: certainty.tells(.map)
        case .ages: certainty.tells(.testClearYoung)
        case .unmaps: certainty.tells(.unmap)
        }
      })
  }
}
