public import KVMTypes

/// Which pages a kernel counts as `NR_SECONDARY_PAGETABLE` (SecPageTables in /proc/meminfo).
@frozen
public enum SecPageTablesRule: UInt8, Hashable, Sendable, CaseIterable {
  /// PGD and tables: a page counts from the moment it becomes a table (`stage2_memcache_zalloc_page`) until
  /// its last reference goes (`kvm_s2_put_page`). Spare pages of the caches do not count.
  case tables
  /// PGD, tables, both memory caches and the pool: a page counts from the moment it enters the host's
  /// memory cache (`HYP_MEMCACHE_ACCOUNT_STAGE2`) until `free_hyp_memcache` at the end of the VM.
  case tablesAndMemcaches
  /// Nothing: pKVM before that flag existed accounted for none of it, the PGD included.
  case nothing

  /// Whether a page of `use` counts.
  @inlinable
  public func counts(_ use: PageUse) -> Bool {
    switch self {
    case .tables: use == .pgd || use.isTable
    case .tablesAndMemcaches: use == .pgd || use.isTable || use.isSpare
    case .nothing: false
    }
  }
}

/// The memory that the stage-2 MMU of one VM occupies, exact to the page and to the slab object.
///
/// Guest memory itself is not counted, nor is what exists without a VM (`hyp_vmemmap`). A page changes its
/// use by `move`, which cannot disturb the peaks of the sums it stays in.
@frozen
public struct MemoryAccounting: Sendable {
  /// The size of a page.
  public let pageSize: PageSize
  /// What one `struct pkvm_mapping` costs: 64 bytes of `kmalloc-64`, 72 with the `slabobj_ext` that memory
  /// control groups add.
  public let bytesPerMapping: Int
  /// What counts as SecPageTables.
  public let secPageTablesRule: SecPageTablesRule

  @usableFromInline var pages: [10 of LiveCount]
  /// Tables below the PGD, all levels.
  public private(set) var tables: LiveCount
  /// Pages that wait for becoming tables: caches of host and EL2, and the pool.
  public private(set) var spares: LiveCount
  /// Pages of every use.
  public private(set) var allPages: LiveCount
  /// Pages that SecPageTables shows for this VM.
  public private(set) var secPageTables: LiveCount
  /// Mapping objects of one page.
  public private(set) var pageMappings: LiveCount
  /// Mapping objects of one level-2 block.
  public private(set) var blockMappings: LiveCount
  /// Mapping objects.
  public private(set) var mappings: LiveCount
  /// Mapping objects that vCPUs hold ready for the next fault (`pkvm_memcache.mapping`).
  public private(set) var spareMappings: LiveCount
  /// Mapping objects that the kernel lost: nothing points to them any more.
  public private(set) var lostMappings: LiveCount
  /// Bytes of pages and mapping objects.
  public private(set) var totalBytes: LiveCount

  /// Nothing allocated yet.
  public init(
    pageSize: PageSize, bytesPerMapping: Int = 64, secPageTables rule: SecPageTablesRule = .tables
  ) {
    self.pageSize = pageSize
    self.bytesPerMapping = bytesPerMapping
    secPageTablesRule = rule
    pages = .init(repeating: LiveCount())
    tables = LiveCount()
    spares = LiveCount()
    allPages = LiveCount()
    secPageTables = LiveCount()
    pageMappings = LiveCount()
    blockMappings = LiveCount()
    mappings = LiveCount()
    spareMappings = LiveCount()
    lostMappings = LiveCount()
    totalBytes = LiveCount()
  }

  /// Pages of one use.
  @inlinable
  public func pages(_ use: PageUse) -> LiveCount { pages[Int(use.rawValue)] }

  /// Tables of `level` below the PGD.
  @inlinable
  public func tables(level: TranslationLevel) -> LiveCount { pages(.table(level: level)) }

  /// What is left once the VM is gone: nothing, though it had as much as it had.
  public func released() -> MemoryAccounting {
    var rest = self
    for use in rest.pages.indices { rest.pages[use] = rest.pages[use].released() }
    for count in [
      \Self.tables, \.allPages, \.secPageTables, \.pageMappings, \.blockMappings, \.mappings, \.spareMappings,
      \.lostMappings, \.totalBytes, \.spares,
    ] {
      rest[keyPath: count] = rest[keyPath: count].released()
    }
    return rest
  }

  /// Bytes of mapping objects that exist now.
  public var mappingBytesLive: Int { mappings.live * bytesPerMapping }

  /// The most bytes of mapping objects that existed at one moment.
  public var mappingBytesPeak: Int { mappings.peak * bytesPerMapping }

  /// The kernel allocates `count` pages for `use`.
  public mutating func allocate(_ use: PageUse, pages count: Int = 1) {
    pages[Int(use.rawValue)].add(count)
    if use.isTable { tables.add(count) }
    if use.isSpare { spares.add(count) }
    allPages.add(count)
    if secPageTablesRule.counts(use) { secPageTables.add(count) }
    totalBytes.add(count << Int(pageSize.shift))
  }

  /// The kernel frees `count` pages of `use`.
  public mutating func release(_ use: PageUse, pages count: Int = 1) {
    pages[Int(use.rawValue)].remove(count)
    if use.isTable { tables.remove(count) }
    if use.isSpare { spares.remove(count) }
    allPages.remove(count)
    if secPageTablesRule.counts(use) { secPageTables.remove(count) }
    totalBytes.remove(count << Int(pageSize.shift))
  }

  /// `count` pages change their use: a spare page becomes a table, a freed table goes to the pool, a page
  /// is donated to EL2.
  public mutating func move(from old: PageUse, to new: PageUse, pages count: Int = 1) {
    pages[Int(old.rawValue)].remove(count)
    pages[Int(new.rawValue)].add(count)
    if old.isTable != new.isTable {
      if new.isTable { tables.add(count) } else { tables.remove(count) }
    }
    if old.isSpare != new.isSpare {
      if new.isSpare { spares.add(count) } else { spares.remove(count) }
    }
    let counted = secPageTablesRule.counts(old)
    if counted != secPageTablesRule.counts(new) {
      if counted { secPageTables.remove(count) } else { secPageTables.add(count) }
    }
  }

  /// Mapping objects are allocated and filled in at once.
  @inline(__always)
  public mutating func addMapping(isBlock: Bool, count: Int = 1) {
    if isBlock { blockMappings.add(count) } else { pageMappings.add(count) }
    mappings.add(count)
    totalBytes.add(count &* bytesPerMapping)
  }

  /// Mapping objects are allocated and held ready.
  @inline(__always)
  public mutating func addSpareMapping(count: Int = 1) {
    spareMappings.add(count)
    totalBytes.add(count &* bytesPerMapping)
  }

  /// Objects held ready are filled in.
  @inline(__always)
  public mutating func useSpareMapping(isBlock: Bool, count: Int = 1) {
    spareMappings.remove(count)
    if isBlock { blockMappings.add(count) } else { pageMappings.add(count) }
    mappings.add(count)
  }

  /// The object held ready is filled in and lost.
  public mutating func loseSpareMapping() {
    spareMappings.remove()
    lostMappings.add()
  }

  /// Objects held ready are freed.
  @inline(__always)
  public mutating func removeSpareMapping(count: Int = 1) {
    spareMappings.remove(count)
    totalBytes.remove(count &* bytesPerMapping)
  }

  /// Mapping objects are freed.
  @inline(__always)
  public mutating func removeMapping(isBlock: Bool, count: Int = 1) {
    if isBlock { blockMappings.remove(count) } else { pageMappings.remove(count) }
    mappings.remove(count)
    totalBytes.remove(count &* bytesPerMapping)
  }
}
