public import KVMTypes

/// A leaf of a stage-2 table, with what it maps.
@frozen
public struct Stage2Leaf: Hashable, Sendable {
  /// The first address that it maps.
  public let ipa: IPA
  /// Its level, which says its size.
  public let level: TranslationLevel
  /// The descriptor.
  public let descriptor: Stage2Descriptor
}

extension Stage2PageTable where Pages: ~Copyable {
  /// Runs `body` over every entry that is neither empty nor a table, in order of address: valid leaves and
  /// annotations.
  public borrowing func forEachEntry(_ body: (Stage2Leaf) -> Void) {
    guard let pgd else { return }
    let span: UInt64 = startLevel == 0 && shift(-1) >= 63 ? 0 : 1 << shift(startLevel - 1)
    for page in 0..<geometry.pgdPages {
      forEachEntry(pgd + UInt32(page), level: startLevel, at: UInt64(page) &* span, body)
    }
  }

  private borrowing func forEachEntry(
    _ table: UInt32, level: Int, at base: UInt64, _ body: (Stage2Leaf) -> Void
  ) {
    for (offset, value) in arena.nonzeroDescriptors(table) {
      let entry = Stage2Descriptor(rawValue: value)
      let ipa = base + UInt64(offset) << shift(level)
      if entry.isTable(level: level) {
        forEachEntry(entry.tableIndex, level: level + 1, at: ipa, body)
      } else {
        body(Stage2Leaf(ipa: IPA(ipa), level: TranslationLevel(Int8(level)), descriptor: entry))
      }
    }
  }

  /// The valid leaves in order of address.
  public borrowing func leaves() -> [Stage2Leaf] {
    var leaves: [Stage2Leaf] = []
    forEachEntry { if $0.descriptor.isValid { leaves.append($0) } }
    return leaves
  }

  /// Tables below the PGD by level, counted by walking them; those that wait for RCU included.
  public borrowing func recountTables() -> [TranslationLevel: Int] {
    var recount = Recount()
    walkForRecount(&recount)
    return recount.tables
  }

  /// What contradicts the structure's own rules, empty where nothing does. Walks the whole table: for tests.
  ///
  /// A table's count is 1 + its nonzero descriptors; a table below the PGD is never empty; entries point to
  /// live tables and each table hangs from one entry; tables taken minus tables given back exist.
  ///
  /// - Parameter allowEmptyTables: a map that failed midway leaves an empty table behind.
  public borrowing func checkInvariants(allowEmptyTables: Bool = false) -> [String] {
    var recount = Recount()
    walkForRecount(&recount)
    var problems = recount.problems
    if !allowEmptyTables && recount.emptyTables > 0 {
      problems.append("\(recount.emptyTables) tables below the PGD are empty")
    }
    let below = recount.tables.values.reduce(0, +)
    if counters.tablesAllocated - counters.tablesFreed != below {
      problems.append(
        "\(counters.tablesAllocated) tables taken, \(counters.tablesFreed) given back, \(below) found")
    }
    let live = below + (pgd == nil ? 0 : geometry.pgdPages)
    if arena.liveTables != live {
      problems.append("the arena holds \(arena.liveTables) tables, \(live) were found")
    }
    return problems
  }

  private struct Recount {
    var tables: [TranslationLevel: Int] = [:]
    var seen: Set<UInt32> = []
    var emptyTables = 0
    var problems: [String] = []
  }

  private borrowing func walkForRecount(_ recount: inout Recount) {
    if let pgd {
      for page in 0..<UInt32(geometry.pgdPages) {
        self.recount(pgd + page, level: startLevel, isPGD: true, &recount)
      }
    }
    for entry in unlinked {
      self.recount(entry.table, level: entry.level + 1, isPGD: false, &recount)
    }
  }

  private borrowing func recount(_ table: UInt32, level: Int, isPGD: Bool, _ recount: inout Recount) {
    guard recount.seen.insert(table).inserted else {
      recount.problems.append("table \(table) is reached twice")
      return
    }
    if !isPGD { recount.tables[TranslationLevel(Int8(level)), default: 0] += 1 }
    let descriptors = arena.nonzeroDescriptors(table)
    let nonzero = UInt32(descriptors.count)
    for (_, value) in descriptors {
      let entry = Stage2Descriptor(rawValue: value)
      if entry.isTable(level: level) {
        self.recount(entry.tableIndex, level: level + 1, isPGD: false, &recount)
      } else if entry.isValid, level < Int(geometry.minBlockLevel.rawValue) {
        recount.problems.append("table \(table) of level \(level) holds a block")
      }
    }
    if arena.count(table) != nonzero + 1 {
      recount.problems.append(
        "table \(table) of level \(level): count \(arena.count(table)), \(nonzero) nonzero descriptors")
    }
    if nonzero == 0 && !isPGD { recount.emptyTables += 1 }
  }
}
