public import KVMTypes

/// The stage-2 operations that KVM dispatches to one of two implementations (`KVM_PGT_FN`).
///
/// `PKVMStage2` stands for `pkvm_pgtable_stage2_*`, `TraditionalStage2` for `kvm_pgtable_stage2_*`. Which
/// one a host uses is a property of its boot mode, not of the VM (`is_protected_kvm_enabled()`). A patch
/// is tried by conforming a type of one's own. Callers are generic over the backend, never existential, so
/// the choice costs nothing per operation.
///
/// A backend must have `map`, `unmap`, `wrprotect`, `testClearYoung`, `relaxPerms`, `mkyoung` and `walk`. All else has a
/// default, which either follows from these or says that the backend has nothing to tell.
///
/// Addresses and sizes are bytes of IPA. Results are the kernel function's.
public protocol Stage2Backend: SendableMetatype, ~Copyable {
  /// `*_pgtable_stage2_map`: maps `[ipa, ipa + size)` for the fault that `vcpu` took.
  ///
  /// - Parameters:
  ///   - pfn: the host frame behind `ipa`, nil where it is not known, as in a replay: then nothing that
  ///     depends on the frame's identity (share counts, a changed frame) is modelled for this mapping.
  ///   - vcpu: whose memory cache pays for tables.
  mutating func map(_ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex) -> KernelResult

  /// `*_pgtable_stage2_unmap`.
  mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult

  /// `*_pgtable_stage2_wrprotect`.
  mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult

  /// `*_pgtable_stage2_flush`: cache maintenance, no effect on the mappings.
  mutating func flush(_ ipa: IPA, size: UInt64) -> KernelResult

  /// `*_pgtable_stage2_test_clear_young`: whether any mapping that overlaps the range was young.
  mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool

  /// `*_pgtable_stage2_relax_perms`: adds rights to the mapping of `ipa`, removes none.
  mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult

  /// `*_pgtable_stage2_mkyoung`: sets the access flag of the mapping of `ipa`.
  mutating func mkyoung(_ ipa: IPA)

  /// `*_pgtable_stage2_split`: breaks the blocks of a range into pages.
  mutating func split(_ ipa: IPA, size: UInt64, vcpu: VCPUIndex) -> KernelResult

  /// `*_pgtable_stage2_destroy_range`: drops what is mapped in a range, at the end of the VM's life.
  mutating func destroyRange(_ ipa: IPA, size: UInt64)

  /// `stage2_destroy_range`: the calls of `destroyRange` for every chunk of `chunk` bytes that `[ipa, ipa + size)`
  /// has. No leaf reaches beyond a chunk.
  mutating func destroyRange(_ ipa: IPA, size: UInt64, chunk: UInt64)

  /// `*_pgtable_stage2_destroy_pgd`.
  mutating func destroyPGD()

  /// The top-up of the vCPU's memory cache, `pages` at least, that a fault makes before it takes the lock
  /// (`topup_hyp_memcache`, `kvm_mmu_topup_memory_cache`).
  mutating func topUpMemcache(vcpu: VCPUIndex, pages: Int)

  /// Frees what the vCPU's memory cache holds, when the vCPU is destroyed (`free_hyp_memcache`,
  /// `kvm_mmu_free_memory_cache`).
  mutating func freeMemcache(vcpu: VCPUIndex)

  /// The top-up of the VM's `split_page_cache`, `pages` at least, that eager splitting makes with `mmu_lock`
  /// dropped (`kvm_mmu_split_huge_pages`). Nothing where blocks are never split.
  ///
  /// - Returns: the pages that were allocated.
  @discardableResult
  mutating func topUpSplitCache(pages: Int) -> Int

  /// Frees the `split_page_cache` (`kvm_mmu_free_memory_cache`).
  mutating func freeSplitCache()

  /// `kvm_arch_vcpu_load`, as far as it concerns stage 2: `vcpu` is about to run on `cpu`.
  ///
  /// The host takes care of VMID and TLBs only where the table is its own (`hw_mmu`). Under pKVM it skips that, and
  /// EL2 runs the vCPU on its own copy of the VM, whatever the host's `hw_mmu` says.
  mutating func loadVCPU(_ vcpu: VCPUIndex, cpu: Int)

  /// `kvm_arch_flush_remote_tlbs`, and under pKVM also `kvm_arch_flush_remote_tlbs_range`: invalidates what
  /// the TLBs hold for the VM.
  mutating func flushRemoteTLBs()

  /// `kvm_arch_flush_remote_tlbs_range`: invalidates what the TLBs hold for a range.
  mutating func flushRemoteTLBs(_ ipa: IPA, size: UInt64)

  /// Whether the kernel has stopped (`BUG`, a panic of EL2): what the operations did and returned from then on is no kernel's. Mutating
  /// like `work`.
  var hasStopped: Bool { mutating get }

  /// What the operations cost so far. Mutating, because a getter that borrows copies the backend to the stack.
  var work: Stage2Work { mutating get }

  /// What a hardware walk of `ipa` finds in the table that the CPU uses: the host's under the traditional
  /// MMU, EL2's under pKVM. Mutating, because a function that borrows copies the backend to the stack.
  mutating func walk(_ ipa: IPA) -> Stage2Walk

  /// A fault of `ipa` comes soon: whatever the backend reads of its own memory for it may be brought nearer. Changes nothing.
  mutating func prefetch(_ ipa: IPA)

  /// The memory that the VM's stage 2 occupies at this moment, nil where the backend accounts for none.
  var accountedMemory: MemoryAccounting? { get }

  /// The hypercalls made so far, nil where the path makes none.
  var hypercallCounts: HypercallCounts? { get }

  /// The calls that follow are made for `cause`. Nothing of what they do depends on it. With `end`, the VM is gone, and all that came
  /// before has been called: what it accounted for is still asked for.
  mutating func note(_ cause: CallCause)

  /// The calls up to `forgetHypercalls(since:)` correct the model: no kernel makes them.
  mutating func beginCorrection()

  /// What was called since `counts` were made was a correction of the model: no kernel called it.
  mutating func forgetHypercalls(since counts: HypercallCounts?)

  /// The depth of the tree of mappings (`pkvm_mappings`) and the mean depth of its nodes, nil where there is no tree or
  /// nothing in it.
  borrowing func mappingTreeDepth() -> (maximum: Int, mean: Double)?

  /// The host took a page of a protected guest by force (`__pkvm_force_reclaim_guest_page`), before this.
  ///
  /// - Parameter page: the address of the page in the guest.
  /// - Returns: whether the guest had the page, then or until an earlier call.
  mutating func takeByForce(_ page: IPA) -> Bool

  /// An RCU grace period passes: what waits for one is freed (`stage2_free_unlinked_table_rcu_cb`).
  mutating func passGracePeriod()
}

extension Stage2Backend where Self: ~Copyable {
  /// Success: the backend models no cache maintenance.
  @inlinable
  public mutating func flush(_ ipa: IPA, size: UInt64) -> KernelResult { .success }

  /// -EINVAL: the backend splits no blocks, as pKVM does not.
  @inlinable
  public mutating func split(_ ipa: IPA, size: UInt64, vcpu: VCPUIndex) -> KernelResult { .invalid }

  /// `unmap` of the range: the end of the VM is no different.
  @inlinable
  public mutating func destroyRange(_ ipa: IPA, size: UInt64) { _ = unmap(ipa, size: size) }

  /// Nothing: the backend keeps no root of its own.
  @inlinable
  public mutating func destroyPGD() {}

  /// Nothing: the backend keeps no caches.
  @inlinable
  public mutating func topUpMemcache(vcpu: VCPUIndex, pages: Int) {}

  /// One call over everything, which does the same where a call does not fail midway.
  @inlinable
  public mutating func destroyRange(_ ipa: IPA, size: UInt64, chunk: UInt64) { destroyRange(ipa, size: size) }

  /// Nothing: the backend keeps no caches.
  @inlinable
  public mutating func freeMemcache(vcpu: VCPUIndex) {}

  /// Nothing: the backend splits no blocks.
  @inlinable
  @discardableResult
  public mutating func topUpSplitCache(pages: Int) -> Int { 0 }

  /// Nothing: the backend splits no blocks.
  @inlinable
  public mutating func freeSplitCache() {}

  /// False: no kernel stops.
  @inlinable
  @inline(__always)
  public var hasStopped: Bool { mutating get { false } }

  /// Nothing: the backend counts no work.
  @inlinable
  public var work: Stage2Work { Stage2Work() }

  /// Nothing: the backend does not depend on where vCPUs run.
  @inlinable
  public mutating func loadVCPU(_ vcpu: VCPUIndex, cpu: Int) {}

  /// Nothing: the backend counts no invalidations.
  @inlinable
  public mutating func flushRemoteTLBs() {}

  /// Invalidates everything, which covers the range.
  @inlinable
  public mutating func flushRemoteTLBs(_ ipa: IPA, size: UInt64) { flushRemoteTLBs() }

  /// Nothing: the backend does not look ahead.
  @inlinable
  public mutating func prefetch(_ ipa: IPA) {}

  /// Nil: the backend accounts for no memory.
  @inlinable
  public var accountedMemory: MemoryAccounting? { nil }

  /// Nil: the backend makes no hypercalls.
  @inlinable
  public var hypercallCounts: HypercallCounts? { nil }

  /// Nothing: the backend does not tell what it was called for.
  @inlinable
  @inline(__always)
  public mutating func note(_ cause: CallCause) {}

  /// Nothing: a correction is called like everything else.
  @inlinable
  @inline(__always)
  public mutating func beginCorrection() {}

  /// Nothing: the backend counts no hypercalls.
  @inlinable
  public mutating func forgetHypercalls(since counts: HypercallCounts?) {}

  /// Nil: the backend keeps no tree.
  @inlinable
  public borrowing func mappingTreeDepth() -> (maximum: Int, mean: Double)? { nil }

  /// False: no guest is protected.
  @inlinable
  public mutating func takeByForce(_ page: IPA) -> Bool { false }

  /// Nothing: nothing waits for a grace period.
  @inlinable
  public mutating func passGracePeriod() {}
}

/// The number of a vCPU within its VM (`vcpu_idx`), dense from 0.
@frozen
public struct VCPUIndex: Hashable, Sendable {
  /// The number.
  public var rawValue: Int

  /// The vCPU `rawValue`.
  @inlinable
  public init(_ rawValue: Int) { self.rawValue = rawValue }

  /// No vCPU: the memory cache that `kvm_phys_addr_ioremap` keeps on its stack.
  @inlinable
  public static var ioremap: VCPUIndex { VCPUIndex(-1) }
}

/// The end of a stage-2 walk.
@frozen
public enum Stage2Walk: Hashable, Sendable {
  /// No valid descriptor: the walk stops at `level`, the level a translation fault would report.
  case invalid(level: TranslationLevel)
  /// A page or block descriptor at `level`, with its rights and its access flag.
  case leaf(level: TranslationLevel, prot: Stage2Prot, young: Bool)
}
