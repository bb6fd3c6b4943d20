/// How a section of the kernel holds `kvm->mmu_lock`.
@frozen
public enum LockMode: UInt8, Hashable, Sendable, CaseIterable {
  /// Not at all.
  case none
  /// `read_lock`: beside other readers.
  case read
  /// `write_lock`: alone.
  case write
}

/// What the time that a section holds the lock grows with.
@frozen
public enum LockUnit: UInt8, Hashable, Sendable, CaseIterable {
  /// One leaf, with its tables and cache maintenance.
  case leaf
  /// The leaves of a range; under pKVM its mappings, a hypercall each.
  case range
  /// The leaves of a range, with the lock dropped between chunks where somebody waits.
  case chunkedRange
  /// Nothing: counters change, or a pointer.
  case constant
}

/// The places of KVM/arm64 that work on a VM's stage 2, each with the lock it takes.
@frozen
public enum MMUEntryPoint: UInt8, Hashable, Sendable, CaseIterable {
  /// `user_mem_abort`, its last stage (`kvm_s2_fault_map`).
  case userMemAbort
  /// `gmem_abort`.
  case gmemAbort
  /// `pkvm_mem_abort`.
  case pkvmMemAbort
  /// `handle_access_fault`.
  case accessFault
  /// `kvm_mmu_notifier_invalidate_range_start`, where a memslot overlaps.
  case invalidateRangeStart
  /// `kvm_mmu_notifier_invalidate_range_end`, where a memslot overlaps.
  case invalidateRangeEnd
  /// `kvm_mmu_notifier_clear_flush_young`, `..._clear_young` and `..._test_young`.
  case age
  /// `kvm_mmu_wp_memory_region`: dirty logging begins.
  case wpMemoryRegion
  /// `kvm_arch_mmu_enable_log_dirty_pt_masked`, around all words of a bitmap.
  case dirtyLogMasks
  /// `kvm_mmu_split_memory_region`.
  case splitHugePages
  /// `kvm_phys_addr_ioremap`, once a page.
  case ioremap
  /// `stage2_flush_vm`.
  case flushVM
  /// `kvm_arch_flush_shadow_memslot`.
  case flushShadowMemslot
  /// `stage2_unmap_vm`.
  case unmapVM
  /// `kvm_free_stage2_pgd`, while it unlinks the table.
  case freePGD
  /// `kvm_stage2_destroy`.
  case destroy

  /// How the entry point takes `mmu_lock` under `profile`; `none` also where it is refused before that.
  public func lock(_ profile: Profile) -> LockMode {
    switch self {
    case .userMemAbort, .gmemAbort:
      // kvm_fault_lock.
      profile.isProtected ? .none : profile.faultLock == .write ? .write : .read
    case .pkvmMemAbort: profile.isProtected ? .write : .none
    case .accessFault: .read
    case .invalidateRangeStart, .invalidateRangeEnd, .age, .flushVM, .flushShadowMemslot, .unmapVM, .freePGD:
      .write
    // kvm_mmu_split_memory_region takes the lock even where nothing is ever split.
    case .wpMemoryRegion, .dirtyLogMasks, .splitHugePages: profile.isProtected ? .none : .write
    case .ioremap: profile.isPKVM ? .none : .write
    case .destroy: .none
    }
  }

  /// What the time under the lock grows with.
  public var unit: LockUnit {
    switch self {
    case .userMemAbort, .gmemAbort, .pkvmMemAbort, .accessFault, .ioremap: .leaf
    case .age, .dirtyLogMasks: .range
    case .invalidateRangeStart, .wpMemoryRegion, .splitHugePages, .flushVM, .flushShadowMemslot, .unmapVM,
      .destroy:
      .chunkedRange
    case .invalidateRangeEnd, .freePGD: .constant
    }
  }

  /// The name that reports use.
  public var name: String {
    switch self {
    case .userMemAbort: "user_mem_abort"
    case .gmemAbort: "gmem_abort"
    case .pkvmMemAbort: "pkvm_mem_abort"
    case .accessFault: "handle_access_fault"
    case .invalidateRangeStart: "invalidate_range_start"
    case .invalidateRangeEnd: "invalidate_range_end"
    case .age: "age"
    case .wpMemoryRegion: "kvm_mmu_wp_memory_region"
    case .dirtyLogMasks: "enable_log_dirty_pt_masked"
    case .splitHugePages: "kvm_mmu_split_huge_pages"
    case .ioremap: "kvm_phys_addr_ioremap"
    case .flushVM: "stage2_flush_vm"
    case .flushShadowMemslot: "kvm_arch_flush_shadow_memslot"
    case .unmapVM: "stage2_unmap_vm"
    case .freePGD: "kvm_free_stage2_pgd"
    case .destroy: "kvm_stage2_destroy"
    }
  }
}

/// One section under `mmu_lock`.
@frozen
public struct LockSection: Hashable, Sendable {
  /// Who took it.
  public var entryPoint: MMUEntryPoint
  /// How.
  public var mode: LockMode
  /// Points inside at which the lock is dropped if somebody waits (`cond_resched_rwlock_write`), or is
  /// dropped in any case (a cache top-up of eager splitting).
  public var reschedPoints: Int
  /// What was done under it.
  public var work: Stage2Work

  /// A section that has done nothing yet.
  @inlinable
  public init(_ entryPoint: MMUEntryPoint, mode: LockMode) {
    self.entryPoint = entryPoint
    self.mode = mode
    reschedPoints = 0
    work = Stage2Work()
  }
}

/// All sections of one entry point.
@frozen
public struct LockTotals: Hashable, Sendable {
  /// How often the lock was taken.
  public var acquisitions = 0
  /// As in `LockSection`.
  public var reschedPoints = 0
  /// What was done under it.
  public var work = Stage2Work()

  /// None yet.
  @inlinable
  public init() {}

  /// One more section.
  @inlinable
  mutating func add(_ section: LockSection) {
    acquisitions += 1
    reschedPoints += section.reschedPoints
    work += section.work
  }
}
