/// What stage-2 functions did besides changing descriptors, since the table was made.
@frozen
public struct Stage2Counters: Hashable, Sendable {
  /// `__kvm_tlb_flush_vmid`: everything of the VM, inner shareable.
  public var tlbiVMID = 0
  /// `__kvm_tlb_flush_vmid_ipa`: one IPA, inner shareable.
  public var tlbiIPA = 0
  /// `__kvm_tlb_flush_vmid_ipa_nsh`: one IPA, on the local CPU only.
  public var tlbiIPANonShareable = 0
  /// `__kvm_tlb_flush_vmid_range`: a range of IPAs, inner shareable, at most `MAX_TLBI_RANGE_PAGES` each.
  public var tlbiRange = 0
  /// `__kvm_flush_cpu_context`: everything of the VM on the local CPU, TLBs and instruction cache. Not among `tlbiAll`,
  /// since no change of the table asks for it.
  public var cpuContextFlushes = 0
  /// Pages cleaned and invalidated to the point of coherency.
  public var dcachePages = 0
  /// Pages invalidated in the instruction cache.
  public var icachePages = 0
  /// Descriptors that a walk looked at (`__kvm_pgtable_visit`).
  public var descriptorsVisited = 0
  /// Entries that were locked, invalidated and made anew (`stage2_try_break_pte`).
  public var breakBeforeMakes = 0
  /// Tables that a block replaced.
  public var collapses = 0
  /// Blocks that a table replaced, by `split` or because a smaller leaf was mapped.
  public var blocksBroken = 0
  /// Tables taken from a cache.
  public var tablesAllocated = 0
  /// Tables given back.
  public var tablesFreed = 0

  /// Nothing yet.
  @inlinable
  public init() {}

  /// TLB invalidations of every kind.
  @inlinable
  public var tlbiAll: Int { tlbiVMID + tlbiIPA + tlbiIPANonShareable + tlbiRange }
}
