public import KVMTypes

/// `stage2_split_walker`: puts a table of smaller leaves in the place of each block.
struct SplitWalker: Stage2Visitor {
  static var visits: WalkFlags { .leaf }
  static var installsTables: Bool { true }
  static func passesEmpty(_ flags: WalkFlags) -> Bool { true }

  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    let level = context.level
    if level == 3 || !context.old.isValid { return .success }
    // stage2_block_get_nr_page_tables: with enough pages down to level 3 at once, else one level at a
    // time: the walk then meets the smaller blocks and splits them in turn.
    let descriptors = 1 << Int(table.bitsPerLevel)
    let wanted = level == 1 ? descriptors + 1 : 1
    let forcePTE = table.pages.sparePages >= wanted
    if table.pages.sparePages < (forcePTE ? wanted : 1) { return .noMemory }
    let frame = context.old.frame
    let child: UInt32
    switch table.createUnlinked(
      pfn: frame == Stage2Descriptor.unknownFrame ? nil : PFN(frame), level: level,
      prot: context.old.prot, forcePTE: forcePTE)
    {
    case .success(let made): child = made
    case .failure(let failure): return failure.result
    }
    // A valid block is not locked, so the break cannot fail.
    _ = table.tryBreak(context)
    table.counters.blocksBroken += 1
    table.make(context, .table(child))
    return .success
  }
}

/// A negative errno as an error.
struct KernelFailure: Error {
  let result: KernelResult
}

extension Stage2PageTable where Pages: ~Copyable {
  /// `kvm_pgtable_stage2_split`: breaks the blocks that overlap the range down to pages, which keep the rights
  /// of the block and become young.
  ///
  /// -ENOMEM where the cache has not even one page; blocks split before that stay split. -ERANGE beyond the
  /// table.
  public mutating func split(_ ipa: IPA, size: UInt64) -> KernelResult {
    var walker = SplitWalker()
    return walk(ipa.rawValue, size: size, &walker)
  }

  /// `kvm_pgtable_stage2_create_unlinked`: a table that maps what an entry of `level` at `pfn` would map,
  /// not linked to anything. It needs no invalidation and no cache maintenance.
  ///
  /// -EINVAL for a frame that is not aligned to the entry or rights without a descriptor, -ENOMEM where the
  /// cache runs dry.
  mutating func createUnlinked(
    pfn: PFN?, level: Int, prot: Stage2Prot, forcePTE: Bool
  ) -> Result<UInt32, KernelFailure> {
    let frame = pfn?.rawValue ?? Stage2Descriptor.unknownFrame
    if pfn != nil, frame & UInt64(pagesPerEntry(level) - 1) != 0 {
      return .failure(KernelFailure(result: .invalid))
    }
    guard let attributes = features.leafAttributes(prot) else {
      return .failure(KernelFailure(result: .invalid))
    }
    guard let table = allocateTable(level: level + 1) else {
      return .failure(KernelFailure(result: .noMemory))
    }
    // The addresses are those of an entry at 0: the table is not part of a tree yet.
    var walker = MapWalker(leaf: .frames(from: frame, attributes: attributes), forcePTE: forcePTE)
    var data = WalkData(
      start: 0, address: 0, end: granule(level), flags: [.skipBBMTLBI, .skipCMO])
    let result = walkTable(table, level: level + 1, &data, &walker)
    guard result.isSuccess else {
      freeUnlinked(table, level: level)
      return .failure(KernelFailure(result: result))
    }
    return .success(table)
  }
}
