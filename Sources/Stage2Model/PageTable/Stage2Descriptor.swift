public import KVMTypes

/// A stage-2 descriptor, 64 bits with the architecture's and KVM's layout
/// (`arch/arm64/include/asm/kvm_pgtable.h`).
///
/// ```
/// 63..60  type of an invalid entry   58..55  software       54..53  XN
/// 51..12  output address             10      AF              9..8   SH
/// 7, 6    S2AP write, read           5..2    MEMATTR         1      table or page   0  valid
/// ```
/// Two things differ from the hardware. The output address of a table entry is the index of the table in
/// the arena, shifted by 12. The output address of a leaf is the frame number, shifted by 12 whatever the
/// page size is, and all ones where the frame is unknown.
@frozen
public struct Stage2Descriptor: Hashable, Sendable {
  /// The bits.
  public var rawValue: UInt64

  /// The descriptor `rawValue`.
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// `KVM_PTE_VALID`.
  @inlinable static var valid: UInt64 { 1 }
  /// `KVM_PTE_TYPE`: a table, or at level 3 a page.
  @inlinable static var type: UInt64 { 1 << 1 }
  /// `KVM_PTE_LEAF_ATTR_LO_S2_MEMATTR`.
  @inlinable static var memoryAttributes: UInt64 { 0xf << 2 }
  /// `KVM_PTE_LEAF_ATTR_LO_S2_S2AP_R`.
  @inlinable static var s2apRead: UInt64 { 1 << 6 }
  /// `KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W`.
  @inlinable static var s2apWrite: UInt64 { 1 << 7 }
  /// `KVM_PTE_LEAF_ATTR_LO_S2_SH_IS`: inner shareable.
  @inlinable static var innerShareable: UInt64 { 3 << 8 }
  /// `KVM_PTE_LEAF_ATTR_LO_S2_AF`.
  @inlinable static var accessFlag: UInt64 { 1 << 10 }
  /// The output address.
  @inlinable static var outputMask: UInt64 { (1 << 52) - (1 << 12) }
  /// `KVM_PTE_LEAF_ATTR_HI_S2_XN`.
  @inlinable static var xn: UInt64 { 3 << 53 }
  /// `KVM_PTE_LEAF_ATTR_HI_SW`.
  @inlinable static var software: UInt64 { 0xf << 55 }
  /// `KVM_PTE_LEAF_ATTR_S2_PERMS`: what a fault may add to a leaf without breaking it.
  @inlinable static var permissions: UInt64 { s2apRead | s2apWrite | xn }
  /// The frame number of a leaf whose frame is unknown.
  @inlinable static var unknownFrame: UInt64 { (1 << 40) - 1 }

  /// An empty entry.
  @inlinable
  public static var zero: Stage2Descriptor { Stage2Descriptor(rawValue: 0) }

  /// `KVM_INVALID_PTE_LOCKED`: another walker is between the break and the make of this entry.
  @inlinable
  public static var locked: Stage2Descriptor { invalid(.locked) }

  /// The kinds of invalid entry that are not empty (`KVM_INVALID_PTE_TYPE_MASK`).
  @frozen
  public enum InvalidType: UInt8, Hashable, Sendable {
    /// Break-before-make is in progress.
    case locked = 1
    /// The host donated the page (`KVM_HOST_INVALID_PTE_TYPE_DONATION`).
    case donated = 2
    /// The host took the page of a protected guest away (`KVM_GUEST_INVALID_PTE_TYPE_POISONED`).
    case poisoned = 3
  }

  /// The bits of `KVM_INVALID_PTE_ANNOT_MASK`: 59 to 1.
  @inlinable static var annotationBits: UInt64 { 59 }

  /// An invalid entry of `type` with 59 bits of annotation.
  @inlinable
  public static func invalid(_ type: InvalidType, annotation: UInt64 = 0) -> Stage2Descriptor {
    Stage2Descriptor(
      rawValue: UInt64(type.rawValue) << 60 | (annotation << 1 & ((1 << 60) - 2)))
  }

  /// The type of an invalid entry, nil for a valid or an empty one.
  @inlinable
  public var invalidType: InvalidType? {
    isValid ? nil : InvalidType(rawValue: UInt8(truncatingIfNeeded: rawValue >> 60))
  }

  /// The annotation of an invalid entry.
  @inlinable
  public var annotation: UInt64 { rawValue >> 1 & ((1 << Self.annotationBits) - 1) }

  /// `kvm_pte_valid`.
  @inlinable
  public var isValid: Bool { rawValue & Self.valid != 0 }

  /// `stage2_pte_is_counted`: the entry holds a reference to the table that contains it.
  @inlinable
  public var isCounted: Bool { rawValue != 0 }

  /// `stage2_pte_is_locked`.
  @inlinable
  public var isLocked: Bool { !isValid && rawValue >> 60 == UInt64(InvalidType.locked.rawValue) }

  /// `kvm_pte_table`.
  @inlinable
  public func isTable(level: Int) -> Bool { level != 3 && rawValue & 3 == 3 }

  /// Whether this is a table's entry, at whatever level: one of a leaf has attributes.
  @inlinable
  var isPlainTable: Bool { rawValue & ~Self.outputMask == Self.type | Self.valid }

  /// The arena index of a table entry's table (`kvm_pte_follow`).
  @inlinable
  var tableIndex: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 12) }

  /// `kvm_init_table_pte`.
  @inlinable
  static func table(_ index: UInt32) -> Stage2Descriptor {
    Stage2Descriptor(rawValue: UInt64(index) << 12 | type | valid)
  }

  /// `kvm_init_valid_leaf_pte`: a leaf of `level` at `frame` with `attributes`.
  @inlinable
  static func leaf(frame: UInt64, attributes: UInt64, level: Int) -> Stage2Descriptor {
    let type = level == 3 ? Self.type : 0
    return Stage2Descriptor(rawValue: (frame << 12 & outputMask) | attributes | type | valid)
  }

  /// The frame number of a leaf, `unknownFrame` where it is unknown.
  @inlinable
  var frame: UInt64 { (rawValue & Self.outputMask) >> 12 }

  /// The host frame of a leaf, nil where it is unknown or the entry is no leaf.
  @inlinable
  public var pfn: PFN? { isValid && frame != Self.unknownFrame ? PFN(frame) : nil }

  /// AF of a leaf.
  @inlinable
  public var isYoung: Bool { rawValue & Self.accessFlag != 0 }

  /// `stage2_pte_executable`.
  @inlinable
  public var isExecutable: Bool { isValid && (rawValue & Self.xn) >> 53 != 2 }

  /// The software bits 58..55 of an entry.
  @inlinable
  public var softwareBits: UInt64 { rawValue & Self.software }

  /// `kvm_pgtable_stage2_pte_prot`: rights and software bits. The memory type is not among them.
  @inlinable
  public var prot: Stage2Prot {
    var prot = Stage2Prot(rawValue: softwareBits)
    if !isValid { return prot }
    if rawValue & Self.s2apRead != 0 { prot.insert(.read) }
    if rawValue & Self.s2apWrite != 0 { prot.insert(.write) }
    switch (rawValue & Self.xn) >> 53 {
    case 0: prot.insert(.execute)
    case 1: prot.insert(.userExecute)
    case 3: prot.insert(.privilegedExecute)
    default: break
    }
    return prot
  }

  /// The opposite of `stage2_pte_needs_update`: installing `new` over this entry would change rights at
  /// most, so the caller gets -EAGAIN. AF, memory type, software bits and block or page count as changes;
  /// an unknown frame is taken for the same frame, because a trace does not say that it changed.
  @inlinable
  func isSameExceptPermissions(_ new: Stage2Descriptor) -> Bool {
    if !isValid { return false }
    var ignored = Self.permissions
    if new.isValid && (frame == Self.unknownFrame || new.frame == Self.unknownFrame) {
      ignored |= Self.outputMask
    }
    return (rawValue ^ new.rawValue) & ~ignored == 0
  }
}

/// What the CPU and its caches offer and how the kernel uses it, as far as it changes what stage-2 functions do.
@frozen
public struct Stage2Features: Hashable, Sendable {
  /// FEAT_S2FWB (`ARM64_HAS_STAGE2_FWB`): stage 2 forces write-back, no cache maintenance is needed.
  public var hasFWB: Bool
  /// FEAT_TLBIRANGE (`system_supports_tlb_range`).
  public var hasTLBIRange: Bool
  /// FEAT_XNX: execution can be permitted to one exception level alone.
  public var hasXNX: Bool
  /// See `PKVMEra.relaxPermsTakesExecute`.
  public var relaxPermsTakesExecute: Bool

  /// The features of a CPU.
  @inlinable
  public init(
    hasFWB: Bool = false, hasTLBIRange: Bool = false, hasXNX: Bool = false,
    relaxPermsTakesExecute: Bool = false
  ) {
    self.hasFWB = hasFWB
    self.hasTLBIRange = hasTLBIRange
    self.hasXNX = hasXNX
    self.relaxPermsTakesExecute = relaxPermsTakesExecute
  }

  /// `stage2_set_xn_attr`: the XN field for the execute bits of `prot`, nil for -EINVAL.
  @inlinable
  @inline(__always)
  func xnAttribute(_ prot: Stage2Prot) -> UInt64? {
    let px = prot.contains(.privilegedExecute)
    let ux = prot.contains(.userExecute)
    if !hasXNX && px != ux { return nil }
    let field: UInt64 = px ? (ux ? 0 : 3) : (ux ? 1 : 2)
    return field << 53
  }

  /// `KVM_S2_MEMATTR(NORMAL)`: the one memory type that caches hold.
  @inlinable
  var normalMemory: UInt64 { (hasFWB ? 6 : 0xf) << 2 }

  /// `stage2_set_prot_attr`: the attributes of a new leaf, AF included, nil for -EINVAL.
  @inlinable
  @inline(__always)
  func leafAttributes(_ prot: Stage2Prot) -> UInt64? {
    var attributes = normalMemory
    if !prot.isDisjoint(with: [.device, .normalNonCacheable]) {
      if prot.isSuperset(of: [.device, .normalNonCacheable]) { return nil }
      if !prot.isDisjoint(with: .execute) { return nil }
      attributes = prot.contains(.device) ? 1 << 2 : 5 << 2
    }
    guard let xn = xnAttribute(prot) else { return nil }
    if prot.contains(.read) { attributes |= Stage2Descriptor.s2apRead }
    if prot.contains(.write) { attributes |= Stage2Descriptor.s2apWrite }
    attributes |= Stage2Descriptor.innerShareable | Stage2Descriptor.accessFlag | xn
    return attributes | (prot.rawValue & Stage2Descriptor.software)
  }

  /// `stage2_pte_cacheable`.
  @inlinable
  func isCacheable(_ descriptor: Stage2Descriptor) -> Bool {
    descriptor.isValid && descriptor.rawValue & Stage2Descriptor.memoryAttributes == normalMemory
  }
}
