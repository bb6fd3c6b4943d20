public import KVMTypes

/// `stage2_unmap_walker`: removes leaves, and the tables that lose their last entry.
struct UnmapWalker: Stage2Visitor {
  static var visits: WalkFlags { [.leaf, .tablePost] }
  static var installsTables: Bool { false }
  static func passesEmpty(_ flags: WalkFlags) -> Bool { true }

  /// `stage2_unmap_defer_tlb_flush`: one range invalidation at the end replaces those of the leaves.
  let deferTLBI: Bool

  @inline(__always)
  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    let old = context.old
    guard old.isValid else {
      if old.isCounted { table.clear(context) }
      return .success
    }
    if old.isTable(level: context.level) {
      let child = old.tableIndex
      if table.arena.count(child) != 1 { return .success }
      // TLBI_TTL_UNKNOWN: never deferred, a walk cache may hold the table.
      table.counters.tlbiIPA += 1
      table.clear(context)
      table.freeTable(child, level: context.level + 1)
      return .success
    }
    if !deferTLBI { table.counters.tlbiIPA += 1 }
    // A block goes as a whole, whatever part of it the range covers; the rest faults back in.
    table.clear(context)
    if !table.features.hasFWB, table.features.isCacheable(old) {
      table.counters.dcachePages += table.pagesPerEntry(context.level)
    }
    return .success
  }
}

extension Stage2PageTable where Pages: ~Copyable {
  /// `kvm_pgtable_stage2_unmap`: removes every leaf that overlaps `[ipa, ipa + size)`, whole, and every
  /// table that becomes empty. The PGD stays. -ERANGE beyond the table.
  public mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult {
    let deferTLBI = features.hasTLBIRange && features.hasFWB
    var walker = UnmapWalker(deferTLBI: deferTLBI)
    let result = walk(ipa.rawValue, size: size, &walker)
    if deferTLBI { flushTLBRange(size) }
    return result
  }
}
