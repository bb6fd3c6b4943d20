public import KVMTypes

/// `stage2_map_walker`: installs leaves, and the tables that they need.
struct MapWalker: Stage2Visitor {
  static var visits: WalkFlags { [.tablePre, .leaf] }
  static var installsTables: Bool { true }
  static func passesEmpty(_ flags: WalkFlags) -> Bool { false }

  /// What the leaves are made of (`struct stage2_map_data`).
  enum Leaf {
    /// Valid leaves from `frame` on, with these attributes.
    case frames(from: UInt64, attributes: UInt64)
    /// An annotation instead of a leaf (`kvm_pgtable_stage2_annotate`).
    case annotation(Stage2Descriptor)
  }

  let leaf: Leaf
  /// Only level 3 may hold leaves (`data->force_pte`).
  var forcePTE = false

  /// The descriptor for `context`, nil where no leaf is allowed there (`stage2_leaf_mapping_allowed`,
  /// `kvm_block_mapping_supported`). The table is not changed; borrowing it would copy it to the stack.
  @inline(__always)
  private func descriptor<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ table: inout Stage2PageTable<Pages>
  ) -> Stage2Descriptor? {
    let level = context.level
    if forcePTE && level < 3 { return nil }
    switch leaf {
    case .annotation(let descriptor):
      return descriptor
    case .frames(let first, let attributes):
      if level == 3, first == Stage2Descriptor.unknownFrame {
        return .leaf(frame: first, attributes: attributes, level: 3)
      }
      if level < table.minBlockLevel { return nil }
      let granule = table.granule(level)
      if granule > context.end &- context.address { return nil }
      if context.address & (granule &- 1) != 0 { return nil }
      if first == Stage2Descriptor.unknownFrame {
        return .leaf(frame: first, attributes: attributes, level: level)
      }
      let frame = first &+ (context.address &- context.start) &>> table.pageShift
      if frame & (granule &>> table.pageShift &- 1) != 0 { return nil }
      return .leaf(frame: frame, attributes: attributes, level: level)
    }
  }

  @inline(__always)
  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    event == .tablePre ? replaceTable(context, &table) : installLeaf(context, &table)
  }

  /// `stage2_map_walk_table_pre`: a block takes the place of a table where one fits.
  private func replaceTable<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    guard let new = descriptor(context, &table) else { return .success }
    if !Pages.hasFreeUnlinkedTable {
      // The kernel would call a null pointer here. EL2 shares a block only where nothing is mapped and the
      // tables under it are gone, unless a failed map left an empty one behind.
      table.warnings.record(.collapseWithoutFreeUnlinkedTable)
      return .invalid
    }
    let result = tryLeaf(context, new, &table)
    if !result.isSuccess { return result }
    table.counters.collapses += 1
    table.freeUnlinkedTable(context.old.tableIndex, level: context.level)
    return .success
  }

  /// `stage2_map_walk_leaf`: a leaf where one fits, else the table that leads to one.
  @inline(__always)
  private func installLeaf<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    if let new = descriptor(context, &table) { return tryLeaf(context, new, &table) }
    if context.level == 3 {
      table.warnings.record(.noLeafAtLastLevel)
      return .invalid
    }
    guard table.pages.hasMemcache else { return .noMemory }
    guard let child = table.allocateTable(level: context.level + 1) else { return .noMemory }
    guard table.tryBreak(context) else {
      // put_page, not back into the cache: the page is lost to it.
      table.freeTable(child, level: context.level + 1)
      return .again
    }
    // A block goes as a whole; the rest of it faults back in.
    if context.old.isValid { table.counters.blocksBroken += 1 }
    table.make(context, .table(child))
    return .success
  }

  /// `stage2_map_walker_try_leaf`.
  @inline(__always)
  private func tryLeaf<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ new: Stage2Descriptor, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    let old = context.old
    if old.isSameExceptPermissions(new) { return .again }
    if !context.isShared, (old.rawValue ^ new.rawValue) & ~Stage2Descriptor.software == 0 {
      table.make(context, new)
      return .success
    }
    guard table.tryBreak(context) else { return .again }
    if !context.flags.contains(.skipCMO), new.isValid {
      table.maintainCaches(for: new, pages: table.pagesPerEntry(context.level))
    }
    table.make(context, new)
    return .success
  }
}

/// Under which lock a caller holds a table (`KVM_PGTABLE_WALK_SHARED`).
@frozen
public enum WalkSharing: UInt8, Hashable, Sendable {
  /// Alone: the write side of `mmu_lock`, or EL2's guest lock.
  case exclusive
  /// Among others: the read side of `mmu_lock`.
  case shared

  var flags: WalkFlags { self == .shared ? .shared : [] }
}

extension Stage2PageTable where Pages: ~Copyable {
  /// `kvm_pgtable_stage2_map`: maps `[ipa, ipa + size)` to consecutive frames, in the biggest leaves that
  /// alignment and size allow.
  ///
  /// A leaf that differs only in rights, or not at all, is left alone with -EAGAIN: another vCPU was faster,
  /// or the fault was stale. -EINVAL for a combination of rights that has no descriptor, -ENOMEM where the
  /// cache is empty or missing, -ERANGE beyond the table. Tables that a failed map took stay, even empty.
  ///
  /// - Parameter pfn: the first frame; nil where it is unknown, which compares as equal to any frame and is
  ///   aligned for any block.
  @inline(__always)
  public mutating func map(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, sharing: WalkSharing = .shared
  ) -> KernelResult {
    guard let attributes = features.leafAttributes(prot) else { return .invalid }
    let frame = pfn?.rawValue ?? Stage2Descriptor.unknownFrame
    if size == 1 &<< pageShift, ipa.rawValue < ipaLimit, let pgd {
      let end = descend(pgd, ipa.rawValue)
      if end.level == 3, end.entry == .zero {
        install(.leaf(frame: frame, attributes: attributes, level: 3), at: end)
        return .success
      }
    }
    return walk(ipa, size: size, from: frame, attributes: attributes, sharing)
  }

  /// The walk of one page that ends at an empty entry of the last level, as most faults' do: the leaf fits, is like nothing
  /// that is there, and there is nothing to break.
  @inline(__always)
  private mutating func install(_ leaf: Stage2Descriptor, at end: WalkEnd) {
    counters.descriptorsVisited &+= 4 &- startLevel
    counters.breakBeforeMakes &+= 1
    maintainCaches(for: leaf, pages: 1)
    arena.fill(end, leaf.rawValue)
  }

  @inline(never)
  private mutating func walk(
    _ ipa: IPA, size: UInt64, from frame: UInt64, attributes: UInt64, _ sharing: WalkSharing
  ) -> KernelResult {
    var walker = MapWalker(leaf: .frames(from: frame, attributes: attributes))
    return walk(ipa.rawValue, size: size, flags: sharing.flags, &walker)
  }

  /// What is cleaned (`dcache_clean_inval_poc`) and invalidated (`invalidate_icache_guest_page`) before a valid leaf of so many
  /// pages is there.
  @inline(__always)
  fileprivate mutating func maintainCaches(for leaf: Stage2Descriptor, pages: Int) {
    if !features.hasFWB, features.isCacheable(leaf) { counters.dcachePages &+= pages }
    if leaf.isExecutable { counters.icachePages &+= pages }
  }

  /// `kvm_pgtable_stage2_annotate`: replaces what maps `[ipa, ipa + size)` by invalid entries of level 3 that carry
  /// `annotation`. Results as for `map`; -EINVAL for the type that marks a locked entry, and for an annotation that
  /// does not fit.
  public mutating func annotate(
    _ ipa: IPA, size: UInt64, type: Stage2Descriptor.InvalidType, annotation: UInt64 = 0
  ) -> KernelResult {
    if annotation >> Stage2Descriptor.annotationBits != 0 || type == .locked { return .invalid }
    var walker = MapWalker(leaf: .annotation(.invalid(type, annotation: annotation)), forcePTE: true)
    return walk(ipa.rawValue, size: size, &walker)
  }

  /// `stage2_free_unlinked_table`: hands a table that nothing points to any more to RCU.
  /// `drainUnlinkedTables` is the end of the grace period.
  ///
  /// - Parameter level: the level of the entry that pointed to it.
  mutating func freeUnlinkedTable(_ child: UInt32, level: Int) {
    unlinked.append(UnlinkedTable(table: child, level: level))
  }
}

extension KernelWarning {
  /// A page does not fit at level 3: address or size are not aligned to pages.
  public static var noLeafAtLastLevel: KernelWarning {
    KernelWarning("stage2_map_walk_leaf", "no leaf is allowed at the last level")
  }
  /// EL2 would call a null `free_unlinked_table`.
  public static var collapseWithoutFreeUnlinkedTable: KernelWarning {
    KernelWarning("stage2_map_walk_table_pre", "a table would become a block without free_unlinked_table")
  }
}
