import KVMTypes

/// As much of a guest's stage 2 as it takes to know which accesses fault, how, and at which level.
///
/// One memslot of pages that are mapped singly, or by level-2 blocks where the host has huge pages.
/// A table exists exactly while something is mapped below it; only the tables of the start level stay.
/// This holds for both MMUs: the traditional one frees a table with its last entry, and EL2 uses the
/// same walker for the tables of a pKVM guest.
struct GuestStage2 {
  /// What is known of a page or a block.
  struct Flags: OptionSet {
    var rawValue: UInt8
    /// Mapped, at least readable.
    static let mapped = Flags(rawValue: 1)
    static let writable = Flags(rawValue: 2)
    static let executable = Flags(rawValue: 4)
    /// The access flag.
    static let young = Flags(rawValue: 8)
    /// The host has a page of its own there, not the shared zero page.
    static let populated = Flags(rawValue: 16)

    static let leaf: Flags = [.mapped, .writable, .executable, .young]
  }

  enum Access {
    case read, write, execute
  }

  /// What an access leads to.
  enum Outcome: Equatable {
    case hit
    case translation(Int8)
    case accessFlag(Int8)
    case permission(Int8)
  }

  let pages: Int
  /// Pages of a level-2 block.
  let blockPages: Int
  private let firstGFN: Int
  private let bits: Int
  private let startLevel: Int8
  private let setsAccessFlag: Bool

  /// By page of the slot.
  private var leaves: [Flags]
  /// By level-2 entry of the address space: a block's flags, mapped pages below a table, and whether
  /// the host backs it with a huge page.
  private var blocks: [Flags]
  private var pagesBelow: [UInt16]
  private var isHuge: [Bool]
  /// By level-1 and level-0 entry: entries in use one level below.
  private var used1: [UInt16]
  private var used0: [UInt16]

  init(firstGFN: Int, pages: Int, pageSize: PageSize, ipaBits: Int, setsAccessFlag: Bool) {
    self.firstGFN = firstGFN
    self.pages = pages
    self.setsAccessFlag = setsAccessFlag
    bits = Int(pageSize.bitsPerLevel)
    blockPages = 1 << bits
    // Up to 16 tables of the start level are concatenated, which saves four bits of a level.
    startLevel = 4 - Int8((ipaBits - 8) / bits)
    let end = firstGFN + pages
    leaves = Array(repeating: [], count: pages)
    let entries = (end >> bits) + 1
    blocks = Array(repeating: [], count: entries)
    pagesBelow = Array(repeating: 0, count: entries)
    isHuge = Array(repeating: false, count: entries)
    used1 = Array(repeating: 0, count: (end >> (2 * bits)) + 1)
    used0 = Array(repeating: 0, count: (end >> (3 * bits)) + 1)
  }

  /// The first page of the slot's block around `page`, nil where it reaches out of the slot.
  func block(around page: Int) -> Range<Int>? {
    let start = (((firstGFN + page) >> bits) << bits) - firstGFN
    return start >= 0 && start + blockPages <= pages ? start..<start + blockPages : nil
  }

  /// Backs the block around `page` with a huge page of the host.
  mutating func makeHuge(_ page: Int) { isHuge[(firstGFN + page) >> bits] = true }

  /// The huge page of the host around `page`, nil where it has none.
  func hugePage(around page: Int) -> Range<Int>? {
    isHuge[(firstGFN + page) >> bits] ? block(around: page) : nil
  }

  /// As much of a range as one table of level 3 maps.
  func withinTable(_ range: Range<Int>) -> Range<Int> {
    let end = ((((firstGFN + range.lowerBound) >> bits) + 1) << bits) - firstGFN
    return range.lowerBound..<min(range.upperBound, end)
  }

  /// Whether `page` lies in a block that is mapped as one.
  func isInBlock(_ page: Int) -> Bool { blocks[(firstGFN + page) >> bits].contains(.mapped) }

  /// The level of the first invalid entry on the walk of a frame where nothing is mapped.
  func firstEmptyLevel(gfn: Int) -> Int8 {
    let entry = gfn >> bits
    if startLevel == 0 && used0[gfn >> (3 * bits)] == 0 { return 0 }
    if startLevel <= 1 && used1[gfn >> (2 * bits)] == 0 { return 1 }
    return pagesBelow[entry] == 0 ? 2 : 3
  }

  /// What an access to a page of the slot meets. A CPU that manages the access flag sets it here.
  mutating func access(_ page: Int, _ access: Access) -> Outcome {
    let gfn = firstGFN + page
    let entry = gfn >> bits
    let inBlock = blocks[entry].contains(.mapped)
    let flags = inBlock ? blocks[entry] : leaves[page]
    let level: Int8 = inBlock ? 2 : 3
    guard flags.contains(.mapped) else { return .translation(firstEmptyLevel(gfn: gfn)) }
    if !flags.contains(.young) {
      guard setsAccessFlag else { return .accessFlag(level) }
      markYoung(page)
    }
    switch access {
    case .read: return .hit
    case .write: return flags.contains(.writable) ? .hit : .permission(level)
    case .execute: return flags.contains(.executable) ? .hit : .permission(level)
    }
  }

  /// What `user_mem_abort` does about a translation fault.
  mutating func map(_ page: Int, _ access: Access) {
    let entry = (firstGFN + page) >> bits
    if isHuge[entry] && pagesBelow[entry] == 0 && block(around: page) != nil {
      blocks[entry] = [.mapped, .writable, .young, .populated]
      if access == .execute { blocks[entry].insert(.executable) }
      entryUsed(entry)
      return
    }
    // A read of a page that the host has not got yet maps the zero page, read-only.
    if access != .read { leaves[page].insert(.populated) }
    var flags: Flags = [.mapped, .young]
    if leaves[page].contains(.populated) { flags.insert(.writable) }
    if access == .execute { flags.insert(.executable) }
    leaves[page].formUnion(flags)
    pagesBelow[entry] += 1
    if pagesBelow[entry] == 1 { entryUsed(entry) }
  }

  /// Sets the access flag of the leaf around a page.
  mutating func markYoung(_ page: Int) {
    let entry = (firstGFN + page) >> bits
    if blocks[entry].contains(.mapped) { blocks[entry].insert(.young) } else { leaves[page].insert(.young) }
  }

  /// Adds the right to execute to the leaf around a page.
  mutating func allowExecution(_ page: Int) {
    let entry = (firstGFN + page) >> bits
    if blocks[entry].contains(.mapped) {
      blocks[entry].insert(.executable)
    } else {
      leaves[page].insert(.executable)
    }
  }

  /// The guest's write made the host replace the zero page by one of its own.
  mutating func populate(_ page: Int) { leaves[page].insert(.populated) }

  /// Unmaps a range. A block goes whole, and its huge page is split if the range leaves a part of it.
  /// When the host discards the contents too, the next read finds the zero page.
  mutating func unmap(_ range: Range<Int>, discards: Bool = false) {
    var page = range.lowerBound
    while page < range.upperBound {
      let entry = (firstGFN + page) >> bits
      let start = (entry << bits) - firstGFN
      let end = min(start + blockPages, range.upperBound)
      if blocks[entry].contains(.mapped) {
        blocks[entry] = []
        if page > start || end < start + blockPages {
          isHuge[entry] = false
          for rest in start..<start + blockPages { leaves[rest].insert(.populated) }
        }
        entryUnused(entry)
      } else if pagesBelow[entry] > 0 {
        for page in page..<end where leaves[page].contains(.mapped) {
          leaves[page].subtract(.leaf)
          pagesBelow[entry] -= 1
        }
        if pagesBelow[entry] == 0 { entryUnused(entry) }
      }
      if discards {
        for page in page..<end { leaves[page].remove(.populated) }
      }
      page = end
    }
  }

  /// Clears the access flags of a range.
  mutating func age(_ range: Range<Int>) {
    for page in range {
      let entry = (firstGFN + page) >> bits
      if blocks[entry].contains(.mapped) { blocks[entry].remove(.young) } else { leaves[page].remove(.young) }
    }
  }

  private mutating func entryUsed(_ entry: Int) {
    let upper = entry >> bits
    used1[upper] += 1
    if used1[upper] == 1 { used0[upper >> bits] += 1 }
  }

  private mutating func entryUnused(_ entry: Int) {
    let upper = entry >> bits
    used1[upper] -= 1
    if used1[upper] == 0 { used0[upper >> bits] -= 1 }
  }
}
