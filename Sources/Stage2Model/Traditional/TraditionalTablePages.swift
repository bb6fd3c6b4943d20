public import KVMTypes

/// Where the host's stage-2 tables come from: the per-vCPU `mmu_page_cache`, and `split_page_cache` for
/// eager splitting (`struct kvm_mmu_memory_cache`).
///
/// A page counts as SecPageTables from the moment it is taken (`stage2_memcache_zalloc_page`).
public struct TraditionalTablePages: TablePages {
  /// `KVM_ARCH_NR_OBJS_PER_MEMORY_CACHE`: the capacity of a vCPU's cache.
  public static var cacheCapacity: Int { 40 }

  /// `stage2_free_unlinked_table`.
  public static var hasFreeUnlinkedTable: Bool { true }

  /// Which cache the running operation takes pages from.
  enum Source {
    case none
    case vcpu(Int)
    case split
  }

  /// The memory of the VM's stage 2.
  public internal(set) var accounting: MemoryAccounting
  /// How often a cache was empty when a page was needed (`WARN_ON(!mc->nobjs)`).
  public internal(set) var emptyCacheWarnings = 0
  var source = Source.none
  private var caches: [Int] = []
  /// Spare pages of `split_page_cache`.
  public private(set) var splitCachePages = 0

  init(accounting: MemoryAccounting) { self.accounting = accounting }

  /// Whether the running operation has a cache to take pages from.
  public var hasMemcache: Bool {
    if case .none = source { return false }
    return true
  }

  /// Spare pages of that cache.
  public var sparePages: Int {
    switch source {
    case .none: 0
    case .vcpu(let cache): caches[cache]
    case .split: splitCachePages
    }
  }

  /// `kvm_mmu_memory_cache_alloc`: never fails. An empty cache makes the kernel warn and allocate
  /// atomically; if that failed it would stop at a BUG.
  public mutating func takePage(level: TranslationLevel) -> Bool {
    let use = PageUse.table(level: level)
    switch source {
    case .none:
      return false
    case .vcpu(let cache) where caches[cache] > 0:
      caches[cache] -= 1
      accounting.move(from: .hostMemcache, to: use)
    case .split where splitCachePages > 0:
      splitCachePages -= 1
      accounting.move(from: .splitCache, to: use)
    case .vcpu, .split:
      emptyCacheWarnings += 1
      accounting.allocate(use)
    }
    return true
  }

  /// `kvm_s2_put_page`: the last reference frees the page to the host.
  public mutating func freePage(level: TranslationLevel) {
    accounting.release(.table(level: level))
  }

  /// Selects the cache of `vcpu` for the operations that follow.
  mutating func use(_ vcpu: VCPUIndex) { source = .vcpu(slot(vcpu)) }

  /// Spare pages of the cache of `vcpu`.
  public func cachePages(_ vcpu: VCPUIndex) -> Int {
    let slot = vcpu.rawValue + 1
    return slot < caches.count ? caches[slot] : 0
  }

  /// `kvm_mmu_topup_memory_cache`: nothing while at least `minimum` pages are there, else up to the capacity.
  mutating func topUp(_ vcpu: VCPUIndex, minimum: Int) {
    let slot = slot(vcpu)
    let missing = Self.cacheCapacity - caches[slot]
    if caches[slot] >= minimum || missing <= 0 { return }
    caches[slot] += missing
    accounting.allocate(.hostMemcache, pages: missing)
  }

  /// `kvm_mmu_free_memory_cache` of a vCPU's cache.
  mutating func free(_ vcpu: VCPUIndex) {
    let slot = slot(vcpu)
    accounting.release(.hostMemcache, pages: caches[slot])
    caches[slot] = 0
  }

  /// `__kvm_mmu_topup_memory_cache` of the split cache, whose capacity is what is asked for.
  mutating func topUpSplitCache(_ pages: Int) -> Int {
    let missing = pages - splitCachePages
    if missing <= 0 { return 0 }
    accounting.allocate(.splitCache, pages: missing)
    splitCachePages = pages
    return missing
  }

  /// `kvm_mmu_free_memory_cache` of the split cache.
  mutating func freeSplitCache() {
    accounting.release(.splitCache, pages: splitCachePages)
    splitCachePages = 0
  }

  /// The spare pages of all caches.
  var allSparePages: Int { caches.reduce(splitCachePages, +) }

  /// Slot 0 belongs to `kvm_phys_addr_ioremap`, whose cache is no vCPU's.
  private mutating func slot(_ vcpu: VCPUIndex) -> Int {
    let slot = vcpu.rawValue + 1
    precondition(slot >= 0, "no such vCPU")
    while caches.count <= slot { caches.append(0) }
    return slot
  }
}
