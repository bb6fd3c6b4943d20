public import KVMTypes

/// The stage-2 MMU of one VM on a pKVM host: `pkvm_pgtable_stage2_*` of `arch/arm64/kvm/pkvm.c`, with EL2
/// behind it.
///
/// The host keeps a tree of mappings and asks EL2 by hypercall to change the guest's page table, which it
/// cannot touch itself. Both sides are here, so a call of the host has the result that EL2 gives it, and
/// what either side spends is counted: hypercalls, nodes visited, pages, slab objects.
///
/// | kernel | here |
/// |---|---|
/// | `pkvm_pgtable_stage2_map` | `PKVMMap.swift` |
/// | `..._unmap`, the helper that unshares | `PKVMUnmap.swift` |
/// | `..._wrprotect`, `..._test_clear_young`, `..._relax_perms`, `..._mkyoung` | `PKVMAttributes.swift` |
/// | `..._flush`, TLB flushes | `PKVMFlush.swift` |
/// | `..._destroy_range`, `..._destroy_pgd`, `..._destroy` | `PKVMDestroy.swift` |
/// | `..._split`, `..._free_unlinked`, `..._create_unlinked` | `PKVMUnreachable.swift` |
/// | `topup_hyp_memcache`, VM and vCPU life cycle | `PKVMLifeCycle.swift` |
/// | the tree `pkvm_mappings` | `PKVMMappings.swift`, `MappingTree/` |
/// | EL2 | `Hyp/` |
public struct PKVMStage2: ~Copyable {
  /// What is modelled.
  public let configuration: PKVMConfiguration
  /// EL2's side of the VM.
  public internal(set) var hyp: HypVM
  /// The host's tree; empty where it is not kept.
  var mappings: PKVMMappings
  /// The hypercalls made so far.
  public internal(set) var hypercalls = HypercallCounts()
  /// The warnings of the host's functions. EL2's are in `hyp.warnings` and `hyp.table.warnings`.
  public internal(set) var warnings = KernelWarnings()
  /// Pages that `flush` cleaned and invalidated through the host's linear map.
  public internal(set) var flushedPages = 0
  /// Pages pinned and accounted as locked for a protected guest (`account_locked_vm`).
  public internal(set) var lockedPages = LiveCount()
  /// `kvm->arch.pkvm.is_dying`: the start of the teardown was asked for.
  var isDying = false
  /// The VM exists no more.
  public internal(set) var isDestroyed = false
  /// The vCPUs' memory caches on the host's side.
  var memcaches = RecordStore<HypMemcache>()
  /// Frames whose mapping EL2 does not know, inserted in spite of a failed hypercall (before 6.16).
  var phantoms: Set<GFN> = []
  let pageShift: UInt64
  let pmdBytes: UInt64
  /// Whether mappings are found in the tree; in EL2's table otherwise.
  let usesTree: Bool
  /// Whether ranges of mappings are compared in frames (`find_first_mapping_node`).
  let comparesFrames: Bool
  /// Whether `map` looks for mappings and then shares.
  let sharesAfterLookup: Bool

  /// A VM just created: `pkvm_init_host_vm` and `pkvm_pgtable_stage2_init`.
  ///
  /// - Parameters:
  ///   - configuration: what is modelled.
  ///   - vmemmap: the machine's pages. VMs of one machine share one; a VM that is alone needs none.
  public init(_ configuration: PKVMConfiguration, vmemmap: HypVMemmap = HypVMemmap()) {
    precondition(
      !configuration.isProtected || configuration.era.supportsProtectedGuests,
      "protected guests have memory from Linux 7.1 on")
    self.configuration = configuration
    let pageSize = configuration.geometry.pageSize
    let memory = MemoryAccounting(
      pageSize: pageSize, bytesPerMapping: configuration.bytesPerMapping,
      secPageTables: configuration.secPageTablesRule)
    hyp = HypVM(configuration, memory: memory, vmemmap: vmemmap)
    mappings = PKVMMappings(isInterval: configuration.era.hasIntervalTree)
    pageShift = pageSize.shift
    pmdBytes = pageSize.pmdBytes
    usesTree = configuration.needsMappingTree
    comparesFrames = !configuration.era.hasIntervalTree
    sharesAfterLookup = !configuration.isProtected && !configuration.era.sharesBeforeLookup
    if configuration.era.reservesHandle {
      hypercalls.count(.reserveVM)
      hyp.reserveVM()
    }
  }

  /// The memory that the VM occupies, on the host and at EL2.
  public var memory: MemoryAccounting { hyp.memory }

  /// How many mappings the host has.
  public var mappingCount: Int { usesTree ? mappings.count : hyp.memory.mappings.live }

  /// What searching the tree has cost; all zero where no tree is kept.
  public var treeCounters: MappingTreeCounters { mappings.counters }

  /// The depth of the tree, measured node by node; 0 where no tree is kept.
  public borrowing func treeDepth() -> MappingTreeDepth { mappings.depth() }

  /// What a hardware walk of `ipa` finds in EL2's table, without the bits that hold the page's state.
  public mutating func walk(_ ipa: IPA) -> Stage2Walk {
    let (leaf, level) = hyp.table.leaf(ipa)
    guard leaf.isValid else { return .invalid(level: level) }
    return .leaf(level: level, prot: leaf.prot.intersection(.rwx), young: leaf.isYoung)
  }

  /// Brings the entry of EL2's table for `ipa` nearer.
  public mutating func prefetch(_ ipa: IPA) { hyp.table.prefetch(ipa) }

  /// The guest frame of an address.
  @inline(__always)
  func gfn(_ ipa: IPA) -> GFN { GFN(ipa.rawValue &>> pageShift) }

  /// The first and last frame of the mappings that `for_each_mapping_in_range_safe` looks for in a range of bytes.
  ///
  /// The interval tree is searched for what overlaps the bytes, the last one included. Before it, frames were compared, and a
  /// range that ends inside a page ended before that page.
  @inline(__always)
  func rangeFrames(_ ipa: IPA, _ size: UInt64) -> (first: GFN, last: GFN) {
    if comparesFrames { return Self.wholeFrames(ipa.rawValue, size, pageShift) }
    return frames(ipa, size)
  }

  /// `start >> PAGE_SHIFT` up to but not `end >> PAGE_SHIFT`; the first behind the last where that is nothing.
  @inline(never)
  private static func wholeFrames(
    _ start: UInt64, _ size: UInt64, _ pageShift: UInt64
  ) -> (first: GFN, last: GFN) {
    let (first, end) = (start &>> pageShift, (start &+ size) &>> pageShift)
    return first < end ? (GFN(first), GFN(end - 1)) : (GFN(1), GFN(0))
  }

  /// The first and last frame that a range of bytes touches; of none, the last is that of the byte before.
  @inline(__always)
  func frames(_ ipa: IPA, _ size: UInt64) -> (first: GFN, last: GFN) {
    (GFN(ipa.rawValue &>> pageShift), GFN((ipa.rawValue &+ size &- 1) &>> pageShift))
  }
}

/// EL2 has no RCU, and the host frees mapping objects at once: no grace period is waited for.
extension PKVMStage2: Stage2Backend {
  /// The memory that the VM occupies: all of it is accounted for.
  public var accountedMemory: MemoryAccounting? { memory }

  /// The hypercalls made so far.
  public var hypercallCounts: HypercallCounts? { hypercalls }

  /// What was called since `counts` were made was a correction of the model.
  public mutating func forgetHypercalls(since counts: HypercallCounts?) {
    if let counts { hypercalls = counts }
  }

  /// The depth of the host's tree, nil while it is empty and where none is kept.
  public borrowing func mappingTreeDepth() -> (maximum: Int, mean: Double)? {
    let depth = treeDepth()
    return depth.max > 0 ? (depth.max, depth.mean) : nil
  }

  /// `__pkvm_force_reclaim_guest_page` of the page at `page`, whatever frame is behind it.
  public mutating func takeByForce(_ page: IPA) -> Bool { forceReclaimGuestPage(at: page) }
}
