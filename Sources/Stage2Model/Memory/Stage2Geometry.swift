public import KVMTypes

/// The shape of a stage-2 table: a function of the page size and of the bits of an IPA.
///
/// Stands for `stage2_pgtable_levels`, `VTCR_EL2_TGRAN_SL0_BASE`, `kvm_pgd_pages` and
/// `kvm_mmu_cache_min_pages`.
@frozen
public struct Stage2Geometry: Hashable, Sendable {
  /// The host's page size, which is the granule.
  public let pageSize: PageSize
  /// The bits of an IPA (64 - VTCR_EL2.T0SZ).
  public let ipaBits: Int
  /// Levels of tables that a walk passes, 2 to 4.
  public let levels: Int
  /// The level of the PGD, 0 to 2: up to 16 tables are concatenated, which saves a level.
  public let startLevel: TranslationLevel
  /// Concatenated first-level tables, 1 to 16 (`kvm_pgd_pages`).
  public let pgdPages: Int

  /// Why there is no such geometry.
  public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// An IPA has 32 to 52 bits.
    case ipaBitsOutOfRange(Int)
    /// The host resolves fewer bits (`get_kvm_ipa_limit`).
    case ipaBitsAboveHostLimit(Int, limit: Int)

    /// What is wrong, in words.
    public var description: String {
      switch self {
      case .ipaBitsOutOfRange(let bits):
        "an IPA size of \(bits) bits is not possible: 32 to 52 are"
      case .ipaBitsAboveHostLimit(let bits, let limit):
        "an IPA size of \(bits) bits is above the host's limit of \(limit)"
      }
    }
  }

  /// The geometry of a table for `ipaBits` bits.
  ///
  /// - Throws: `Failure` for fewer than 32 (`ARM64_MIN_PARANGE_BITS`) or more than 52 bits.
  public init(pageSize: PageSize, ipaBits: Int) throws(Failure) {
    guard (Self.minimumIPABits...Self.maximumIPABits).contains(ipaBits) else {
      throw .ipaBitsOutOfRange(ipaBits)
    }
    self.pageSize = pageSize
    self.ipaBits = ipaBits
    // ARM64_HW_PGTABLE_LEVELS(ipa - 4): four bits fewer, because 16 first-level tables can be joined.
    let levels = max(2, (ipaBits - 4 - 3 - 1) / Int(pageSize.bitsPerLevel))
    self.levels = levels
    let start = TranslationLevel(Int8(4 - levels))
    startLevel = start
    let rootShift = pageSize.levelShift(TranslationLevel(start.rawValue - 1))
    pgdPages = Int(((1 << UInt64(ipaBits)) - 1) >> rootShift) + 1
  }

  /// The geometry of a VM, as `kvm_init_stage2_mmu` and `kvm_init_ipa_range` choose it.
  ///
  /// - Parameters:
  ///   - vmType: the low byte of the type that userspace gave to `KVM_CREATE_VM`; 0 asks for 40 bits.
  ///   - hostLimit: the bits that the host resolves (`get_kvm_ipa_limit`).
  ///   - isPKVM: then the VM type is ignored and the host's limit taken.
  /// - Throws: `Failure` where the kernel returns -EINVAL.
  public static func forVM(
    type vmType: Int, pageSize: PageSize, hostLimit: Int, isPKVM: Bool
  ) throws(Failure) -> Stage2Geometry {
    if isPKVM { return try Stage2Geometry(pageSize: pageSize, ipaBits: hostLimit) }
    let bits = vmType == 0 ? defaultIPABits : vmType
    if vmType != 0 || bits > hostLimit {
      guard bits >= minimumIPABits else { throw .ipaBitsOutOfRange(bits) }
      guard bits <= hostLimit else { throw .ipaBitsAboveHostLimit(bits, limit: hostLimit) }
    }
    return try Stage2Geometry(pageSize: pageSize, ipaBits: bits)
  }

  /// The fewest bits of an IPA (`ARM64_MIN_PARANGE_BITS`).
  @inlinable
  public static var minimumIPABits: Int { 32 }
  /// The most bits of an IPA.
  @inlinable
  public static var maximumIPABits: Int { 52 }
  /// The bits of an IPA where the VM type does not say (`KVM_PHYS_SHIFT`).
  @inlinable
  public static var defaultIPABits: Int { 40 }

  /// The first address beyond the table, in bytes.
  @inlinable
  public var ipaLimit: UInt64 { 1 << UInt64(ipaBits) }

  /// The pages that a map can need at most below the PGD (`kvm_mmu_cache_min_pages`).
  @inlinable
  public var minPages: Int { levels - 1 }

  /// The bytes of the PGD (`kvm_pgtable_stage2_pgd_size`).
  @inlinable
  public var pgdBytes: UInt64 { UInt64(pgdPages) << pageSize.shift }

  /// The level of the biggest block that may be mapped: 1 with 4 KiB pages, else 2
  /// (`KVM_PGTABLE_MIN_BLOCK_LEVEL`).
  @inlinable
  public var minBlockLevel: TranslationLevel { pageSize == .size4K ? .l1 : .l2 }

  /// The bytes between two points at which a range operation may drop `mmu_lock`
  /// (`stage2_range_addr_end`): the size of the biggest block.
  @inlinable
  public var chunkBytes: UInt64 { pageSize.granule(minBlockLevel) }

  /// The calls of `stage2_destroy_range`'s loop over the whole IPA space.
  @inlinable
  public var destroyChunks: UInt64 { ipaLimit >> pageSize.levelShift(minBlockLevel) }

  /// Whether more than 48 bits need FEAT_LPA2 (4 KiB, 16 KiB) or FEAT_LPA (64 KiB).
  @inlinable
  public var needsLargeAddresses: Bool { ipaBits > 48 }

  /// The end of the chunk around `address`, at most `end` (`stage2_range_addr_end`).
  @inlinable
  public func chunkEnd(_ address: UInt64, limit end: UInt64) -> UInt64 {
    // The kernel compares boundary - 1 with end - 1, so that a boundary that wraps to 0 counts as the top.
    let boundary = (address & ~(chunkBytes &- 1)) &+ chunkBytes
    return boundary &- 1 < end &- 1 ? boundary : end
  }

  /// The pages of tables that a cache must hold to split `chunk` bytes of blocks down to pages
  /// (`kvm_mmu_split_nr_page_tables`).
  @inlinable
  public func splitCachePages(chunk: UInt64) -> Int {
    var pages: UInt64 = 0
    for level in [TranslationLevel.l1, .l2] where level >= minBlockLevel {
      let shift = pageSize.levelShift(level)
      pages += (chunk + (1 << shift) - 1) >> shift
    }
    return Int(pages)
  }
}
