public import KVMTypes

/// `stage2_attr_walker`: sets and clears attributes of valid leaves.
struct AttributeWalker: Stage2Visitor {
  static var visits: WalkFlags { .leaf }
  static var installsTables: Bool { false }
  /// At an empty entry it answers -EAGAIN.
  static func passesEmpty(_ flags: WalkFlags) -> Bool { flags.contains(.ignoreEAGAIN) }

  let set: UInt64
  let clear: UInt64

  @inline(__always)
  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    let old = context.old
    if !old.isValid { return .again }
    let new = Stage2Descriptor(rawValue: old.rawValue & ~clear | set)
    if new != old {
      if new.isExecutable && !old.isExecutable {
        table.counters.icachePages += table.pagesPerEntry(context.level)
      }
      table.arena.store(new.rawValue, context.table, context.offset)
    }
    return .success
  }
}

/// `stage2_age_walker`: finds young leaves, and makes them old on request.
struct AgeWalker: Stage2Visitor {
  static var visits: WalkFlags { .leaf }
  static var installsTables: Bool { false }
  static func passesEmpty(_ flags: WalkFlags) -> Bool { true }

  let markOld: Bool
  var young = false

  @inline(__always)
  mutating func visit<Pages: TablePages & ~Copyable>(
    _ context: VisitContext, _ event: WalkFlags, _ table: inout Stage2PageTable<Pages>
  ) -> KernelResult {
    guard context.old.isValid, context.old.isYoung else { return .success }
    young = true
    if markOld {
      table.arena.store(
        context.old.rawValue & ~Stage2Descriptor.accessFlag, context.table, context.offset)
    }
    return .success
  }
}

extension Stage2PageTable where Pages: ~Copyable {
  /// `kvm_pgtable_stage2_wrprotect`: takes the right to write from every leaf that overlaps the range.
  /// Invalidates no TLB, which is the caller's business. Holes are no error; -ERANGE beyond the table.
  public mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult {
    var walker = AttributeWalker(set: 0, clear: Stage2Descriptor.s2apWrite)
    return walk(ipa.rawValue, size: size, flags: .ignoreEAGAIN, &walker)
  }

  /// `kvm_pgtable_stage2_mkyoung`: sets AF of the leaf at `ipa`; nothing where there is none.
  public mutating func mkyoung(_ ipa: IPA) {
    var walker = AttributeWalker(set: Stage2Descriptor.accessFlag, clear: 0)
    _ = walk(ipa.rawValue, size: 1, &walker)
  }

  /// The CPU sets AF of the leaf at `ipa` by itself (FEAT_HAFDBS): no exit, no KVM function, no visit counted.
  mutating func setAccessFlag(_ ipa: IPA) {
    let old = leaf(ipa).descriptor
    guard old.isValid, !old.isYoung else { return }
    unlockEntry(ipa, to: Stage2Descriptor(rawValue: old.rawValue | Stage2Descriptor.accessFlag))
  }

  /// `kvm_pgtable_stage2_test_clear_young`: whether a leaf that overlaps the range had AF set. With
  /// `markOld` AF is cleared. Invalidates no TLB.
  public mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool {
    var walker = AgeWalker(markOld: markOld)
    let result = walk(ipa.rawValue, size: size, &walker)
    if !result.isSuccess { warnings.record(.agingWalkFailed) }
    return walker.young
  }

  /// `kvm_pgtable_stage2_relax_perms`: adds the rights of `prot` to the leaf at `ipa`, takes none, leaves AF
  /// and frame alone, and invalidates the IPA on the local CPU. Kernels with `relaxPermsTakesExecute` take the right to
  /// execute that `prot` does not ask for.
  ///
  /// -EAGAIN where there is no leaf: it was unmapped meanwhile. -EINVAL for software bits in `prot` and for
  /// execution at one exception level without FEAT_XNX.
  public mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult {
    if prot.rawValue & Stage2Descriptor.software != 0 { return .invalid }
    var set: UInt64 = 0
    var clear: UInt64 = 0
    if prot.contains(.read) { set |= Stage2Descriptor.s2apRead }
    if prot.contains(.write) { set |= Stage2Descriptor.s2apWrite }
    if features.relaxPermsTakesExecute || !prot.isDisjoint(with: .execute) {
      guard let xn = features.xnAttribute(prot) else { return .invalid }
      set |= xn
      clear |= ~xn & Stage2Descriptor.xn
    }
    var walker = AttributeWalker(set: set, clear: clear)
    let result = walk(ipa.rawValue, size: 1, &walker)
    if result.isSuccess || result == .again { counters.tlbiIPANonShareable += 1 }
    return result
  }
}

extension KernelWarning {
  /// Aging reached beyond the table.
  public static var agingWalkFailed: KernelWarning {
    KernelWarning("kvm_pgtable_stage2_test_clear_young", "the walk failed")
  }
}
