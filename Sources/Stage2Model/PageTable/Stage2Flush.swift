public import KVMTypes

/// `stage2_flush_walker`: cleans what cacheable leaves map.
struct FlushWalker: Stage2Visitor {
  static var visits: WalkFlags { .leaf }
  static var installsTables: Bool { false }
  static func passesEmpty(_ flags: WalkFlags) -> Bool { true }

  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    if table.features.isCacheable(context.old) {
      table.counters.dcachePages += table.pagesPerEntry(context.level)
    }
    return .success
  }
}

extension Stage2PageTable where Pages: ~Copyable {
  /// `kvm_pgtable_stage2_flush`: cleans and invalidates to the point of coherency what cacheable leaves in
  /// the range map, whole blocks. Nothing with FEAT_S2FWB. -ERANGE beyond the table.
  public mutating func flush(_ ipa: IPA, size: UInt64) -> KernelResult {
    if features.hasFWB { return .success }
    var walker = FlushWalker()
    return walk(ipa.rawValue, size: size, &walker)
  }
}
