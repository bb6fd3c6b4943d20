public import KVMTypes

/// A stage-2 table of one VM: `struct kvm_pgtable` with the generic walker's operations
/// (`arch/arm64/kvm/hyp/pgtable.c`).
///
/// The host's table under the traditional MMU and EL2's table of a guest are both of this type; they
/// differ in `Pages`. The operations live in one file each: `Stage2Map.swift`, `Stage2Unmap.swift`,
/// `Stage2Attributes.swift`, `Stage2Flush.swift`, `Stage2Split.swift` and `Stage2Destroy.swift`; the walker
/// that carries them in `Stage2Walker.swift`.
///
/// Addresses are IPAs and sizes are bytes. Results are those of the kernel function that an operation is
/// named for. Nothing runs concurrently here: a lost cmpxchg is modelled by `lockEntry`.
public struct Stage2PageTable<Pages: TablePages & ~Copyable>: ~Copyable {
  /// The shape of the table.
  public let geometry: Stage2Geometry
  /// What the CPU offers.
  public let features: Stage2Features
  /// Where tables come from and go to (`mm_ops`).
  public var pages: Pages
  /// What the operations did.
  public internal(set) var counters = Stage2Counters()
  /// What the kernel would have warned of.
  public internal(set) var warnings = KernelWarnings()

  // The geometry as the walker uses it on every level.
  let bitsPerLevel: UInt64
  let pageShift: UInt64
  let startLevel: Int
  let minBlockLevel: Int
  let ipaLimit: UInt64

  var arena: TableArena
  /// The first table of the PGD, nil after `destroyPGD`.
  var pgd: UInt32?
  /// Tables that a block replaced and that wait for the end of an RCU grace period, with the level of the
  /// entry that they hung from.
  var unlinked: [UnlinkedTable] = []

  struct UnlinkedTable {
    let table: UInt32
    let level: Int
  }

  /// `__kvm_pgtable_stage2_init`: an empty PGD. Its pages are the caller's to account for.
  public init(
    geometry: Stage2Geometry, features: Stage2Features = Stage2Features(), pages: consuming Pages
  ) {
    self.geometry = geometry
    self.features = features
    self.pages = pages
    bitsPerLevel = geometry.pageSize.bitsPerLevel
    pageShift = geometry.pageSize.shift
    startLevel = Int(geometry.startLevel.rawValue)
    minBlockLevel = Int(geometry.minBlockLevel.rawValue)
    ipaLimit = geometry.ipaLimit
    arena = TableArena(bitsPerLevel: geometry.pageSize.bitsPerLevel)
    pgd = arena.allocateFirst(geometry.pgdPages)
  }

  /// Tables that wait for an RCU callback before they are freed. Tables below them are not in the number.
  public var unlinkedTables: Int { unlinked.count }

  /// Tables in the arena: the PGD's, those below it, and unlinked ones.
  public var liveTables: Int { arena.liveTables }

  /// log2 of the bytes that an entry of `level` covers: below 64 for every level from -1 on.
  @inline(__always)
  func shift(_ level: Int) -> UInt64 {
    bitsPerLevel &* UInt64(truncatingIfNeeded: 3 &- level) &+ pageShift
  }

  /// `kvm_granule_size`.
  @inline(__always)
  func granule(_ level: Int) -> UInt64 { 1 &<< shift(level) }

  /// `kvm_pgtable_idx`: the offset of the entry of `level` for `address`.
  @inline(__always)
  func index(_ address: UInt64, _ level: Int) -> Int {
    Int(truncatingIfNeeded: (address &>> shift(level)) & ((1 &<< bitsPerLevel) &- 1))
  }

  /// `kvm_pgd_page_idx`: the first-level table for `address`.
  @inline(__always)
  func pgdTable(_ pgd: UInt32, _ address: UInt64) -> UInt32 {
    pgd &+ UInt32(truncatingIfNeeded: address &>> shift(startLevel &- 1))
  }

  /// `kvm_pgtable_get_leaf`: the first entry on the walk of `ipa` that is not a table, and its level. An
  /// address beyond the table finds an empty entry at the start level.
  @inline(__always)
  public borrowing func leaf(_ ipa: IPA) -> (descriptor: Stage2Descriptor, level: TranslationLevel) {
    guard let pgd, ipa.rawValue < ipaLimit else { return (.zero, geometry.startLevel) }
    let end = descend(pgd, ipa.rawValue)
    return (end.entry, TranslationLevel(Int8(truncatingIfNeeded: end.level)))
  }

  /// Goes down from the PGD to the entry for `address`, below `ipaLimit`, that is not a table.
  @inline(__always)
  borrowing func descend(_ pgd: UInt32, _ address: UInt64) -> WalkEnd {
    arena.walk(address &>> pageShift, from: pgd, startLevel)
  }

  /// Brings the entry for `ipa` nearer, for a walk that comes soon. Small tables are near as they are.
  @inline(__always)
  borrowing func prefetch(_ ipa: IPA) {
    guard arena.byteCount > Self.nearBytes, let pgd, ipa.rawValue < ipaLimit else { return }
    arena.prefetch(ipa.rawValue &>> pageShift, from: pgd, startLevel)
  }

  /// So many bytes lie in a CPU's second cache with all else.
  private static var nearBytes: Int { 256 << 10 }

  /// What a hardware walk of `ipa` finds.
  @inline(__always)
  public borrowing func walk(_ ipa: IPA) -> Stage2Walk {
    let (entry, level) = leaf(ipa)
    guard entry.isValid else { return .invalid(level: level) }
    return .leaf(level: level, prot: entry.prot, young: entry.isYoung)
  }

  /// Marks the entry that maps `ipa` as one that another walker is replacing, without invalidating anything:
  /// what a second vCPU meets between `stage2_try_break_pte` and `stage2_make_pte` of a first one.
  ///
  /// - Returns: the entry that was there, for `unlockEntry`.
  public mutating func lockEntry(_ ipa: IPA) -> Stage2Descriptor {
    exchangeEntry(ipa, .locked)
  }

  /// Ends what `lockEntry` began: the entry becomes `descriptor`.
  public mutating func unlockEntry(_ ipa: IPA, to descriptor: Stage2Descriptor) {
    _ = exchangeEntry(ipa, descriptor)
  }

  private mutating func exchangeEntry(_ ipa: IPA, _ new: Stage2Descriptor) -> Stage2Descriptor {
    guard let pgd, ipa.rawValue < ipaLimit else { return .zero }
    let end = descend(pgd, ipa.rawValue)
    if end.entry.isCounted { arena.put(end.table) }
    arena.store(new.rawValue, end.table, end.offset)
    if new.isCounted { arena.get(end.table) }
    return end.entry
  }

  // MARK: What the walkers share

  /// Takes a zeroed table that is to hang from an entry of `level - 1`; nil where the cache is empty.
  mutating func allocateTable(level: Int) -> UInt32? {
    guard pages.takePage(level: TranslationLevel(Int8(level))) else { return nil }
    counters.tablesAllocated += 1
    return arena.allocate(isLastLevel: level == 3)
  }

  /// The last reference to a table goes.
  mutating func freeTable(_ table: UInt32, level: Int) {
    arena.free(table)
    counters.tablesFreed += 1
    pages.freePage(level: TranslationLevel(Int8(level)))
  }

  /// The pages under one entry of `level`.
  @inline(__always)
  func pagesPerEntry(_ level: Int) -> Int { 1 &<< (Int(truncatingIfNeeded: bitsPerLevel) &* (3 &- level)) }

  /// `kvm_tlb_flush_vmid_range`. With ranges, a part of a page at the end is left out.
  mutating func flushTLBRange(_ size: UInt64) {
    guard features.hasTLBIRange else {
      counters.tlbiVMID += 1
      return
    }
    let pages = size >> geometry.pageSize.shift
    counters.tlbiRange += Int((pages + Self.maxTLBIRangePages - 1) / Self.maxTLBIRangePages)
  }

  /// `MAX_TLBI_RANGE_PAGES`: `__TLBI_RANGE_PAGES(31, 3)`.
  static var maxTLBIRangePages: UInt64 { 32 << 16 }
}
