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
  /// The entry's offset in it.
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

  var isShared: Bool { flags.contains(.shared) }
}

/// A walker's callback (`kvm_pgtable_visitor_fn_t`).
protocol Stage2Visitor {
  /// At which entries `visit` runs.
  static var visits: WalkFlags { get }

  /// `event` is one of `leaf`, `tablePre` and `tablePost`.
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
  mutating func walk<V: Stage2Visitor>(
    _ ipa: UInt64, size: UInt64, flags: WalkFlags = [], _ visitor: inout V
  ) -> KernelResult {
    let page: UInt64 = 1 &<< pageShift
    let start = ipa & ~(page - 1)
    let end = (start &+ size &+ (page - 1)) & ~(page - 1)
    if start > ipaLimit || end > ipaLimit { return .range }
    guard let pgd else { return .invalid }
    var data = WalkData(start: start, address: start, end: end, flags: flags)
    while data.address < data.end {
      let table = pgdTable(pgd, data.address)
      let result = walkTable(table, level: startLevel, &data, &visitor)
      if !result.isSuccess { return result }
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
      let result = visitEntry(table, offset, level: level, &data, &visitor)
      if !result.isSuccess { return result }
      offset &+= 1
    }
    return .success
  }

  /// `__kvm_pgtable_visit`: one entry, and the table under it. Success where the walk goes on.
  @inline(__always)
  private mutating func visitEntry<V: Stage2Visitor>(
    _ table: UInt32, _ offset: Int, level: Int, _ data: inout WalkData, _ visitor: inout V
  ) -> KernelResult {
    counters.descriptorsVisited &+= 1
    var context = VisitContext(
      table: table, offset: offset, old: Stage2Descriptor(rawValue: arena.load(table, offset)),
      start: data.start, address: data.address, end: data.end, level: level, flags: data.flags)
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

  /// `stage2_try_break_pte`: locks the entry and invalidates what TLBs hold of it. False where another
  /// walker has it locked.
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
    arena.store(Stage2Descriptor.locked.rawValue, context.table, context.offset)
    if context.old.isCounted { arena.put(context.table) }
    return true
  }

  /// `stage2_make_pte`: replaces the locked entry by `new`.
  mutating func make(_ context: VisitContext, _ new: Stage2Descriptor) {
    if new.isCounted { arena.get(context.table) }
    arena.store(new.rawValue, context.table, context.offset)
  }

  /// Empties a counted entry and drops its reference to the table that holds it.
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
