public import KVMTypes

/// The traditional MMU: the host walks and changes the stage-2 table that the CPU uses
/// (`kvm_pgtable_stage2_*`, with `kvm_s2_mm_ops` of `arch/arm64/kvm/mmu.c`).
///
/// Profile fields that change it: page size, IPA bits, FWB, TLB range operations, XNX.
public struct TraditionalStage2: ~Copyable, Stage2Backend {
  /// The table.
  public private(set) var table: Stage2PageTable<TraditionalTablePages>
  /// `mmu.last_vcpu_ran`: by CPU, the vCPU of the VM that was loaded there last.
  private var lastVCPURan: [VCPUIndex?] = []

  /// `kvm_init_stage2_mmu`: allocates the PGD, which counts as a page table at once
  /// (`kvm_s2_zalloc_pages_exact`).
  public init(geometry: Stage2Geometry, features: Stage2Features = Stage2Features()) {
    var accounting = MemoryAccounting(pageSize: geometry.pageSize, secPageTables: .tables)
    accounting.allocate(.pgd, pages: geometry.pgdPages)
    table = Stage2PageTable(
      geometry: geometry, features: features, pages: TraditionalTablePages(accounting: accounting))
  }

  /// The shape of the table.
  public var geometry: Stage2Geometry { table.geometry }

  /// The memory of the VM's stage 2, at this moment.
  public var memory: MemoryAccounting { table.pages.accounting }

  /// The memory of the VM's stage 2: all of it is accounted for.
  public var accountedMemory: MemoryAccounting? { memory }

  /// What the operations did besides changing descriptors.
  public var counters: Stage2Counters { table.counters }

  /// What the kernel would have warned of.
  public var warnings: KernelWarnings {
    var warnings = table.warnings
    for _ in 0..<table.pages.emptyCacheWarnings { warnings.record(.emptyMemoryCache) }
    return warnings
  }

  /// Spare pages of a vCPU's `mmu_page_cache`.
  public func memcachePages(vcpu: VCPUIndex) -> Int { table.pages.cachePages(vcpu) }

  /// `kvm_pgtable_stage2_map`, as the fault path calls it: -EAGAIN for a leaf that is there already.
  public mutating func map(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    table.pages.use(vcpu)
    return table.map(ipa, size: size, pfn: pfn, prot: prot, sharing: .shared)
  }

  /// `kvm_pgtable_stage2_unmap`.
  public mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult { table.unmap(ipa, size: size) }

  /// `kvm_pgtable_stage2_wrprotect`.
  public mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult {
    table.wrprotect(ipa, size: size)
  }

  /// `kvm_pgtable_stage2_flush`.
  public mutating func flush(_ ipa: IPA, size: UInt64) -> KernelResult { table.flush(ipa, size: size) }

  /// `kvm_pgtable_stage2_test_clear_young`.
  public mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool {
    table.testClearYoung(ipa, size: size, markOld: markOld)
  }

  /// `kvm_pgtable_stage2_relax_perms`.
  public mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult {
    table.relaxPerms(ipa, prot: prot)
  }

  /// `kvm_pgtable_stage2_mkyoung`.
  public mutating func mkyoung(_ ipa: IPA) { table.mkyoung(ipa) }

  /// `kvm_pgtable_stage2_split`, with pages of `split_page_cache`; `vcpu` pays nothing.
  public mutating func split(_ ipa: IPA, size: UInt64, vcpu: VCPUIndex) -> KernelResult {
    table.pages.source = .split
    return table.split(ipa, size: size)
  }

  /// `kvm_pgtable_stage2_destroy_range`.
  public mutating func destroyRange(_ ipa: IPA, size: UInt64) { table.destroyRange(ipa, size: size) }

  /// `kvm_pgtable_stage2_destroy_pgd`.
  public mutating func destroyPGD() {
    if table.pgd == nil { return }
    table.destroyPGD()
    table.pages.accounting.release(.pgd, pages: geometry.pgdPages)
  }

  /// `kvm_mmu_topup_memory_cache`: up to 40 pages where fewer than `pages` are left.
  public mutating func topUpMemcache(vcpu: VCPUIndex, pages: Int) {
    table.pages.topUp(vcpu, minimum: pages)
  }

  /// `kvm_mmu_free_memory_cache` of `mmu_page_cache`, when the vCPU is destroyed.
  public mutating func freeMemcache(vcpu: VCPUIndex) { table.pages.free(vcpu) }

  /// `__kvm_mmu_topup_memory_cache` of `split_page_cache`.
  @discardableResult
  public mutating func topUpSplitCache(pages: Int) -> Int { table.pages.topUpSplitCache(pages) }

  /// `kvm_mmu_free_memory_cache` of `split_page_cache` (`kvm_uninit_stage2_mmu`).
  public mutating func freeSplitCache() { table.pages.freeSplitCache() }

  /// `kvm_arch_vcpu_load`: where another vCPU of the VM was loaded last on `cpu`, or none, what the CPU holds for the VM
  /// is invalidated. Rollover of VMIDs is not modelled.
  public mutating func loadVCPU(_ vcpu: VCPUIndex, cpu: Int) {
    while lastVCPURan.count <= cpu { lastVCPURan.append(nil) }
    if lastVCPURan[cpu] == vcpu { return }
    lastVCPURan[cpu] = vcpu
    table.counters.cpuContextFlushes += 1
  }

  /// `__kvm_tlb_flush_vmid`.
  public mutating func flushRemoteTLBs() { table.counters.tlbiVMID += 1 }

  /// `kvm_tlb_flush_vmid_range`.
  public mutating func flushRemoteTLBs(_ ipa: IPA, size: UInt64) { table.flushTLBRange(size) }

  /// What a hardware walk of `ipa` finds.
  public mutating func walk(_ ipa: IPA) -> Stage2Walk { table.walk(ipa) }

  /// Brings the entry for `ipa` nearer.
  public mutating func prefetch(_ ipa: IPA) { table.prefetch(ipa) }

  /// The CPU sets AF of the leaf at `ipa`, as hardware with FEAT_HAFDBS does without telling KVM.
  public mutating func setAccessFlagInHardware(_ ipa: IPA) { table.setAccessFlag(ipa) }

  /// The RCU grace period of collapsed tables ends (`stage2_free_unlinked_table_rcu_cb`).
  public mutating func drainUnlinkedTables() { table.drainUnlinkedTables() }

  /// Frees the collapsed tables.
  public mutating func passGracePeriod() { drainUnlinkedTables() }

  /// What contradicts the model's own rules, empty where nothing does: those of the table, and the memory
  /// accounting against a recount.
  public borrowing func checkInvariants(allowEmptyTables: Bool = false) -> [String] {
    var problems = table.checkInvariants(allowEmptyTables: allowEmptyTables)
    let recount = table.recountTables()
    let memory = table.pages.accounting
    for level in [TranslationLevel.l1, .l2, .l3] {
      let found = recount[level] ?? 0
      let counted = memory.tables(level: level).live
      if found != counted {
        problems.append("level \(level.rawValue): \(found) tables found, \(counted) accounted for")
      }
    }
    let tables = recount.values.reduce(0, +)
    let pgd = table.pgd == nil ? 0 : geometry.pgdPages
    let spare = table.pages.allSparePages
    for (name, found, counted) in [
      ("tables", tables, memory.tables.live),
      ("PGD pages", pgd, memory.pages(.pgd).live),
      ("spare pages", spare, memory.pages(.hostMemcache).live + memory.pages(.splitCache).live),
      ("pages", tables + pgd + spare, memory.allPages.live),
      ("SecPageTables", tables + pgd, memory.secPageTables.live),
      ("bytes", (tables + pgd + spare) << Int(geometry.pageSize.shift), memory.totalBytes.live),
    ] where found != counted {
      problems.append("\(name): \(found) found, \(counted) accounted for")
    }
    return problems
  }
}

extension KernelWarning {
  /// A table was needed and the memory cache was empty.
  public static var emptyMemoryCache: KernelWarning {
    KernelWarning("kvm_mmu_memory_cache_alloc", "the cache is empty")
  }
}
