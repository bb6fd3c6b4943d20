internal import KVMTypes
internal import Pictures

/// A region of PMD_SIZE page by page: a picture of what happened last to each page in each column, and the marks for the script.
struct RegionPicture {
  /// What a pixel shows, from the weakest: the strongest of what happened is seen.
  enum Class: UInt8, CaseIterable {
    case mappedPage = 1
    case mappedBlock, old, young, fault, rights, map, block, protect, unmap

    /// What the page calls it.
    var name: String {
      switch self {
      case .mappedPage: "is mapped by a page"
      case .mappedBlock: "is mapped by a block"
      case .old: "found old"
      case .young: "found young"
      case .fault: "fault"
      case .rights: "relax_perms, mkyoung"
      case .map: "map of a page"
      case .block: "map of a block"
      case .protect: "wrprotect, split"
      case .unmap: "unmap"
      }
    }

    fileprivate var color: PalettePNG.Color {
      switch self {
      case .mappedPage: .init(rgb: 0x56_b4e9, alpha: 70)
      case .mappedBlock: .init(rgb: 0x56_b4e9, alpha: 120)
      case .old: .init(rgb: 0xe6_9f00, alpha: 110)
      case .young: .init(rgb: 0xe6_9f00, alpha: 255)
      case .fault: .init(rgb: 0xd5_5e00, alpha: 255)
      case .rights: .init(rgb: 0x00_72b2, alpha: 255)
      case .map: .init(rgb: 0x00_9e73, alpha: 190)
      case .block: .init(rgb: 0x00_9e73, alpha: 255)
      case .protect: .init(rgb: 0x80_8080, alpha: 255)
      case .unmap: .init(rgb: 0xcc_79a7, alpha: 255)
      }
    }

    fileprivate init(_ kind: HeatMap.MarkKind) {
      switch kind {
      case .translationFault, .permissionFault, .accessFlagFault: self = .fault
      case .mapPage: self = .map
      case .mapBlock: self = .block
      case .relaxPerms, .mkyoung: self = .rights
      case .foundYoung: self = .young
      case .foundOld: self = .old
      case .wrprotect, .split: self = .protect
      case .unmap: self = .unmap
      }
    }
  }

  /// The most rows of a picture: more pages share one.
  private static let rowsMax = 512
  private let region: HeatMap.Region
  /// The pages of the region.
  let pages: Int
  /// The columns that the region is told in.
  let columns: Int
  /// The columns of the map that one of those stands for.
  let columnScale: Int
  /// The pages that share a row.
  let pagesPerRow: Int

  init(_ region: HeatMap.Region, of map: HeatMap) {
    self.region = region
    pages = Int(map.pageSize.pagesPerPMD)
    columnScale = max(1, Int(region.interval.rawValue / max(map.interval.rawValue, 1)))
    columns = (map.columns + columnScale - 1) / columnScale
    pagesPerRow = max(1, pages / Self.rowsMax)
  }

  /// The picture: behind what happened, what is mapped from then on.
  var picture: PalettePNG {
    let rows = pages / pagesPerRow
    var palette = [PalettePNG.Color(rgb: 0, alpha: 0)]
    for kind in Class.allCases { palette.append(kind.color) }
    var picture = PalettePNG(width: columns, height: rows, palette: palette)
    var state = [UInt8](repeating: 0, count: rows)
    var changes = [Change](repeating: Change(), count: rows)
    var next = 0
    for column in 0..<columns {
      var here = state
      while next < region.marks.count, Int(region.marks[next].column) <= column {
        let mark = region.marks[next]
        next += 1
        let kind = Class(mark.kind)
        let last = min(Int(mark.page) + max(Int(mark.pages), 1), pages) - 1
        guard Int(mark.page) <= last else { continue }
        for row in Int(mark.page) / pagesPerRow...last / pagesPerRow {
          here[row] = max(here[row], kind.rawValue)
          changes[row].add(kind, mark.count)
        }
      }
      for row in 0..<rows {
        picture[column, row] = here[row]
        state[row] = changes[row].take(state[row])
      }
    }
    return picture
  }

  /// How often a page was mapped and unmapped in one column.
  private struct Change {
    private var maps: UInt32 = 0
    private var unmaps: UInt32 = 0
    private var mapped = Class.mappedPage

    mutating func add(_ kind: Class, _ count: UInt32) {
      switch kind {
      case .map, .block:
        maps &+= count
        mapped = kind == .map ? .mappedPage : .mappedBlock
      case .unmap: unmaps &+= count
      default: break
      }
    }

    /// What is mapped after the column: maps and unmaps take turns, so of as many of both the page is as it was before.
    mutating func take(_ state: UInt8) -> UInt8 {
      defer { self = Change() }
      if maps > unmaps || maps == unmaps && maps > 0 && state != 0 { return mapped.rawValue }
      return unmaps > maps ? 0 : state
    }
  }

  /// The height of a row in pixels, for a picture of so many rows.
  func drawn(rows: Int) -> Int { max(1, 256 / rows) }

  /// The marks, by column: the column's distance from that of the mark before, the first page, how many, kind and basis in one
  /// number, and how often.
  var numbers: PackedNumbers {
    var numbers = PackedNumbers()
    var column: UInt16 = 0
    for mark in region.marks {
      numbers.append(UInt32(mark.column - column))
      column = mark.column
      numbers.append(UInt32(mark.page))
      numbers.append(UInt32(mark.pages))
      numbers.append(UInt32(mark.kind.rawValue) << 2 | UInt32(mark.basis.rawValue))
      numbers.append(mark.count)
    }
    return numbers
  }

  /// How often each thing happened, with how that is known, in the order of kinds.
  var counts: [(kind: HeatMap.MarkKind, basis: Basis, count: UInt64)] {
    var counts: [[UInt64]] = Array(
      repeating: Array(repeating: 0, count: Basis.allCases.count), count: HeatMap.MarkKind.allCases.count)
    for mark in region.marks {
      counts[Int(mark.kind.rawValue)][Int(mark.basis.rawValue)] += UInt64(mark.count)
    }
    return HeatMap.MarkKind.allCases.flatMap { kind in
      Basis.allCases.compactMap { basis in
        let count = counts[Int(kind.rawValue)][Int(basis.rawValue)]
        return count > 0 ? (kind, basis, count) : nil
      }
    }
  }
}
