public import KVMTypes

/// `stage2_free_walker`: drops every reference of a table that nothing walks any more.
struct FreeWalker: Stage2Visitor {
  static var visits: WalkFlags { [.leaf, .tablePost] }
  static var installsTables: Bool { false }
  static func passesEmpty(_ flags: WalkFlags) -> Bool { true }

  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    guard context.old.isCounted else { return .success }
    if event == .leaf {
      // stage2_free_leaf puts the reference and leaves the stale leaf in place. Clearing it as well keeps
      // counts and descriptors in step; nobody can tell, since the table dies.
      table.clear(context)
      return .success
    }
    // stage2_free_table_post: only an empty table goes.
    let child = context.old.tableIndex
    if table.arena.count(child) != 1 { return .success }
    table.clear(context)
    table.freeTable(child, level: context.level + 1)
    return .success
  }
}

extension Stage2PageTable where Pages: ~Copyable {
  /// `kvm_pgtable_stage2_destroy_range`: drops every leaf and table of the range without invalidating
  /// anything; the table is not in use any more.
  public mutating func destroyRange(_ ipa: IPA, size: UInt64) {
    var walker = FreeWalker()
    let result = walk(ipa.rawValue, size: size, &walker)
    if !result.isSuccess { warnings.record(.destroyWalkFailed) }
  }

  /// `kvm_pgtable_stage2_destroy_pgd`: frees the PGD, which `destroyRange` must have emptied. Its pages are
  /// the caller's to account for. Every later walk ends with -EINVAL.
  public mutating func destroyPGD() {
    guard let pgd else { return }
    for page in 0..<UInt32(geometry.pgdPages) { arena.free(pgd + page) }
    self.pgd = nil
  }

  /// `kvm_pgtable_stage2_free_unlinked`: frees a table that hung from an entry of `level`, and all below it.
  mutating func freeUnlinked(_ table: UInt32, level: Int) {
    var walker = FreeWalker()
    var data = WalkData(start: 0, address: 0, end: granule(level), flags: [])
    _ = walkTable(table, level: level + 1, &data, &walker)
    if arena.count(table) != 1 { warnings.record(.unlinkedTableNotEmpty) }
    freeTable(table, level: level + 1)
  }

  /// `stage2_free_unlinked_table_rcu_cb`: the grace period of every unlinked table ends, they are freed.
  ///
  /// When that happens is not determined by the operations: some 35 ms later in a measured case, in another
  /// task. Until then the tables exist and count as memory.
  public mutating func drainUnlinkedTables() {
    let pending = unlinked
    unlinked.removeAll(keepingCapacity: true)
    for entry in pending { freeUnlinked(entry.table, level: entry.level) }
  }
}

extension KernelWarning {
  /// The range reaches beyond the table.
  public static var destroyWalkFailed: KernelWarning {
    KernelWarning("kvm_pgtable_stage2_destroy_range", "the walk failed")
  }
  /// An unlinked table still holds references.
  public static var unlinkedTableNotEmpty: KernelWarning {
    KernelWarning("kvm_pgtable_stage2_free_unlinked", "the table is still in use")
  }
}
