import KVMTypes

/// When a walker's callback runs (`KVM_PGTABLE_WALK_*`), and how the walk behaves.
struct WalkFlags: OptionSet {
  let rawValue: UInt32

  /// At an entry that is not a table: page, block or invalid.
  static var leaf: WalkFlags { WalkFlags(rawValue: 1 << 0) }
  /// At a table, before its entries.
  static var tablePre: WalkFlags { WalkFlags(rawValue: 1 << 1) }
  /// At a table, after its entries.
  static var tablePost: WalkFlags { WalkFlags(rawValue: 1 << 2) }
  /// Under the read side of `mmu_lock`: entries change by cmpxchg, tables are freed by RCU.
  static var shared: WalkFlags { WalkFlags(rawValue: 1 << 3) }
  /// -EAGAIN of one entry does not stop the walk.
  static var ignoreEAGAIN: WalkFlags { WalkFlags(rawValue: 1 << 4) }
  /// The table is not linked: nothing can be in a TLB.
  static var skipBBMTLBI: WalkFlags { WalkFlags(rawValue: 1 << 5) }
  /// The data was maintained before.
  static var skipCMO: WalkFlags { WalkFlags(rawValue: 1 << 6) }
}

/// Where a walk stands (`struct kvm_pgtable_visit_ctx`).
struct VisitContext {
  /// The table that holds the entry.
  let table: UInt32
  /// The entry's offset in it, above what the arena masks perhaps.
  let offset: Int
  /// The entry as the walk read it.
  var old: Stage2Descriptor
  /// Where the walk began.
  let start: UInt64
  /// Where it stands.
  let address: UInt64
  /// Where it ends.
  let end: UInt64
  /// The entry's level.
  let level: Int
  /// The walk's flags.
  let flags: WalkFlags

  @inline(__always)
  init(_ table: UInt32, _ offset: Int, _ old: Stage2Descriptor, level: Int, _ data: WalkData) {
    self.table = table
    self.offset = offset
    self.old = old
    start = data.start
    address = data.address
    end = data.end
    self.level = level
    flags = data.flags
  }

  var isShared: Bool { flags.contains(.shared) }
}

/// A walker's callback (`kvm_pgtable_visitor_fn_t`).
protocol Stage2Visitor {
  /// At which entries `visit` runs.
  static var visits: WalkFlags { get }

  /// Whether `visit` puts tables where leaves or empty entries were.
  static var installsTables: Bool { get }

  /// Whether `visit` does nothing at an empty entry, and the walk goes on after it: then it may pass over many at
  /// once, which count as visited all the same.
  static func passesEmpty(_ flags: WalkFlags) -> Bool

  /// `event` is one of `leaf`, `tablePre` and `tablePost`, which is of interest for an empty table only.
  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult
}

/// How far a walk got (`struct kvm_pgtable_walk_data`).
struct WalkData {
  let start: UInt64
  var address: UInt64
  let end: UInt64
  let flags: WalkFlags

  /// `kvm_pgtable_walk_continue`.
  @inline(__always)
  func continues(after result: KernelResult) -> Bool {
    result.isSuccess || (result == .again && flags.contains(.ignoreEAGAIN))
  }
}

extension Stage2PageTable where Pages: ~Copyable {
  /// `kvm_pgtable_walk`: runs `visitor` over the entries of `[ipa, ipa + size)`, rounded outwards to pages.
  ///
  /// The end is computed from the rounded start, so a size of 1 is exactly one page. -ERANGE beyond the
  /// table, -EINVAL without a PGD, else what the visitor returned last.
  @inline(__always)
  mutating func walk<V: Stage2Visitor>(
    _ ipa: UInt64, size: UInt64, flags: WalkFlags = [], _ visitor: inout V
  ) -> KernelResult {
    let page: UInt64 = 1 &<< pageShift
    let start = ipa & ~(page - 1)
    let end = (start &+ size &+ (page - 1)) & ~(page - 1)
    if start > ipaLimit || end > ipaLimit { return .range }
    guard let pgd else { return .invalid }
    let data = WalkData(start: start, address: start, end: end, flags: flags)
    return end &- start == page ? walkPage(pgd, data, &visitor) : walkTables(pgd, data, &visitor)
  }

  /// `_kvm_pgtable_walk`: the tables of the PGD, one after the other.
  @inline(never)
  private mutating func walkTables<V: Stage2Visitor>(
    _ pgd: UInt32, _ range: WalkData, _ visitor: inout V
  ) -> KernelResult {
    var data = range
    while data.address < data.end {
      let table = pgdTable(pgd, data.address)
      let result = walkTable(table, level: startLevel, &data, &visitor)
      if !result.isSuccess { return result }
    }
    return .success
  }

  /// A walk of one page, which meets one entry of each level: the same visits in the same order as by `walkTable`, without
  /// looking at each level on the way. Faults and most notifiers are of one page.
  ///
  /// At a table a visitor is asked after its entries only. Before them it has nothing to do: no block fits into a page.
  @inline(__always)
  private mutating func walkPage<V: Stage2Visitor>(
    _ pgd: UInt32, _ data: WalkData, _ visitor: inout V
  ) -> KernelResult {
    let end = descend(pgd, data.address)
    counters.descriptorsVisited &+= Int(end.level) &- startLevel &+ 1
    if V.installsTables, end.level < 3 { return installTables(pgd, end, data, &visitor) }
    let level = V.installsTables ? 3 : Int(end.level)
    let place = VisitContext(end.table, end.offset, end.entry, level: level, data)
    let result = visitor.visit(place, .leaf, &self)
    if !data.continues(after: result) { return result }
    guard V.visits.contains(.tablePost), level > startLevel, arena.count(end.table) == 1 else {
      return .success
    }
    return visitEmptyTables(pgd, level: level, data, &visitor)
  }

  /// The walk of one page that ends above the last level, at `end`. The callback may install a table, which is then
  /// descended into.
  @inline(never)
  private mutating func installTables<V: Stage2Visitor>(
    _ pgd: UInt32, _ end: WalkEnd, _ data: WalkData, _ visitor: inout V
  ) -> KernelResult {
    var end = end
    while true {
      let place = VisitContext(end.table, end.offset, end.entry, level: Int(end.level), data)
      let result = visitor.visit(place, .leaf, &self)
      if !data.continues(after: result) { return result }
      if end.level == 3 { return .success }
      let deeper = descend(pgd, data.address)
      if deeper.level == end.level { return .success }
      counters.descriptorsVisited &+= Int(deeper.level &- end.level)
      end = deeper
    }
  }

  /// The end of the walk of one page under a table of `level` that is empty: that table is visited from the entry that
  /// points to it, and those above it as far as they are empty then.
  private mutating func visitEmptyTables<V: Stage2Visitor>(
    _ pgd: UInt32, level: Int, _ data: WalkData, _ visitor: inout V
  ) -> KernelResult {
    var tables: [4 of UInt32] = .init(repeating: pgdTable(pgd, data.address))
    for above in startLevel..<level {
      guard let child = arena.child(tables[above], index(data.address, above)) else { return .success }
      tables[above + 1] = child
    }
    var level = level
    while level > startLevel, arena.count(tables[level]) == 1 {
      let entry = Stage2Descriptor.table(tables[level])
      level -= 1
      let place = VisitContext(tables[level], index(data.address, level), entry, level: level, data)
      let result = visitor.visit(place, .tablePost, &self)
      if !data.continues(after: result) { return result }
    }
    return .success
  }

  /// `__kvm_pgtable_walk`: the entries of one table from the walk's address on.
  mutating func walkTable<V: Stage2Visitor>(
    _ table: UInt32, level: Int, _ data: inout WalkData, _ visitor: inout V
  ) -> KernelResult {
    let descriptors = 1 &<< Int(truncatingIfNeeded: bitsPerLevel)
    var offset = index(data.address, level)
    while offset < descriptors && data.address < data.end {
      if V.passesEmpty(data.flags), passEmpty(table, &offset, level: level, &data) { continue }
      let result = visitEntry(table, offset, level: level, &data, &visitor)
      if !result.isSuccess { return result }
      offset &+= 1
    }
    return .success
  }

  /// Passes over the empty entries from `offset` on; false where there is none.
  @inline(__always)
  private mutating func passEmpty(
    _ table: UInt32, _ offset: inout Int, level: Int, _ data: inout WalkData
  ) -> Bool {
    if arena.load(table, offset) != 0 { return false }
    let bytes = granule(level)
    let first = data.address & ~(bytes &- 1)
    // An entry is visited if it begins before the end of the walk.
    let inRange = (data.end &- first &+ (bytes &- 1)) &>> shift(level)
    let limit = min(1 &<< Int(truncatingIfNeeded: bitsPerLevel), offset &+ Int(truncatingIfNeeded: inRange))
    let next = inRange == 1 ? limit : arena.nextNonzero(table, from: offset &+ 1, below: limit)
    counters.descriptorsVisited &+= next &- offset
    data.address = first &+ UInt64(truncatingIfNeeded: next &- offset) &<< shift(level)
    offset = next
    return true
  }

  /// `__kvm_pgtable_visit`: one entry, and the table under it. Success where the walk goes on.
  @inline(__always)
  private mutating func visitEntry<V: Stage2Visitor>(
    _ table: UInt32, _ offset: Int, level: Int, _ data: inout WalkData, _ visitor: inout V
  ) -> KernelResult {
    counters.descriptorsVisited &+= 1
    var context = VisitContext(
      table, offset, Stage2Descriptor(rawValue: arena.load(table, offset)), level: level, data)
    var result = KernelResult.success
    var isTable = context.old.isTable(level: level)
    let event: WalkFlags = isTable ? .tablePre : .leaf
    if V.visits.contains(event) {
      result = visitor.visit(context, event, &self)
      // The callback may have installed a table, which is then descended into, or replaced one.
      context.old = Stage2Descriptor(rawValue: arena.load(table, offset))
      isTable = context.old.isTable(level: level)
    }
    if !data.continues(after: result) { return result }
    if !isTable {
      let granule = granule(level)
      data.address = (data.address & ~(granule &- 1)) &+ granule
      return .success
    }
    result = walkTable(context.old.tableIndex, level: level + 1, &data, &visitor)
    if !data.continues(after: result) { return result }
    if V.visits.contains(.tablePost) {
      result = visitor.visit(context, .tablePost, &self)
      if !data.continues(after: result) { return result }
    }
    return .success
  }

  // MARK: Changing an entry

  /// `stage2_try_break_pte`: invalidates what TLBs hold of the entry, which `make` replaces then. False where
  /// another walker has it locked.
  ///
  /// The kernel locks the entry in between. Here nobody could see that, so it is not written.
  @inline(__always)
  mutating func tryBreak(_ context: VisitContext) -> Bool {
    if context.old.isLocked {
      if !context.isShared { warnings.record(.lockedEntryInExclusiveWalk) }
      return false
    }
    counters.breakBeforeMakes += 1
    if !context.flags.contains(.skipBBMTLBI) {
      if context.old.isTable(level: context.level) {
        flushTLBRange(granule(context.level))
      } else if context.old.isValid {
        counters.tlbiIPA += 1
      }
    }
    return true
  }

  /// `stage2_make_pte`: replaces the entry by `new`, and its reference to the table that holds it.
  @inline(__always)
  mutating func make(_ context: VisitContext, _ new: Stage2Descriptor) {
    if context.old.isCounted != new.isCounted {
      if new.isCounted { arena.get(context.table) } else { arena.put(context.table) }
    }
    arena.store(new.rawValue, context.table, context.offset)
  }

  /// Empties a counted entry and drops its reference to the table that holds it.
  @inline(__always)
  mutating func clear(_ context: VisitContext) {
    arena.store(0, context.table, context.offset)
    arena.put(context.table)
  }
}

extension KernelWarning {
  /// A walk that must be alone met an entry that another one is replacing.
  public static var lockedEntryInExclusiveWalk: KernelWarning {
    KernelWarning("stage2_try_break_pte", "the entry is locked in an exclusive walk")
  }
}
