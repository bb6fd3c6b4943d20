/// The host's page size (`PAGE_SIZE`), which is also the stage-2 translation granule.
@frozen
public enum PageSize: UInt8, Hashable, Sendable, CaseIterable {
  /// 4 KiB: blocks of 2 MiB at level 2 and 1 GiB at level 1.
  case size4K = 12
  /// 16 KiB: blocks of 32 MiB at level 2.
  case size16K = 14
  /// 64 KiB: blocks of 512 MiB at level 2.
  case size64K = 16

  /// The page size of `bytes`, nil where Arm has no such granule.
  @inlinable
  public init?(bytes: UInt64) {
    switch bytes {
    case 4096: self = .size4K
    case 16384: self = .size16K
    case 65536: self = .size64K
    default: return nil
    }
  }

  /// log2 of the size (`PAGE_SHIFT`).
  @inlinable
  public var shift: UInt64 { UInt64(rawValue) }

  /// The size in bytes (`PAGE_SIZE`).
  @inlinable
  public var bytes: UInt64 { 1 &<< shift }

  /// Address bits that one level of table resolves (`PAGE_SHIFT - 3`).
  @inlinable
  public var bitsPerLevel: UInt64 { shift - 3 }

  /// Descriptors in one table (`PTRS_PER_PTE`).
  @inlinable
  public var descriptorsPerTable: UInt64 { 1 << bitsPerLevel }

  /// log2 of the bytes that one descriptor of `level` covers (`ARM64_HW_PGTABLE_LEVEL_SHIFT`).
  @inlinable
  public func levelShift(_ level: TranslationLevel) -> UInt64 {
    UInt64(bitPattern: Int64(bitsPerLevel) * (4 - Int64(level.rawValue)) + 3)
  }

  /// The bytes that one descriptor of `level` covers (`kvm_granule_size`).
  @inlinable
  public func granule(_ level: TranslationLevel) -> UInt64 { 1 << levelShift(level) }

  /// The bytes of a level-2 block (`PMD_SIZE`): the only block that pKVM maps.
  @inlinable @inline(__always)
  public var pmdBytes: UInt64 { 1 &<< (2 &* shift &- 3) }

  /// The pages of a level-2 block: 512, 2048 or 8192.
  @inlinable
  public var pagesPerPMD: UInt64 { descriptorsPerTable }
}

/// A level of a translation table walk: 3 holds pages, -1 exists only with 52-bit addresses.
@frozen
public struct TranslationLevel: Hashable, Comparable, Sendable {
  /// The architecture's number of the level.
  public var rawValue: Int8

  /// The level `rawValue`.
  @inlinable
  public init(_ rawValue: Int8) { self.rawValue = rawValue }

  /// From the table that the walk starts with to the last level.
  @inlinable
  public static func < (a: TranslationLevel, b: TranslationLevel) -> Bool { a.rawValue < b.rawValue }

  /// The level of a 512 GiB entry with 4 KiB pages.
  @inlinable
  public static var l0: TranslationLevel { TranslationLevel(0) }
  /// The level of a 1 GiB block with 4 KiB pages.
  @inlinable
  public static var l1: TranslationLevel { TranslationLevel(1) }
  /// The level of a 2 MiB block with 4 KiB pages.
  @inlinable
  public static var l2: TranslationLevel { TranslationLevel(2) }
  /// The level of pages (`KVM_PGTABLE_LAST_LEVEL`).
  @inlinable
  public static var l3: TranslationLevel { TranslationLevel(3) }
}
