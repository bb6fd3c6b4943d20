import KVMTypes

/// EL2's side of one VM: `struct pkvm_hyp_vm` with its page table, its vCPUs and its pool.
///
/// The handlers of the hypercalls are methods with the names of the functions of
/// `arch/arm64/kvm/hyp/nvhe/mem_protect.c` and `pkvm.c` there, grouped as `HypShare.swift` (share, unshare),
/// `HypAttributes.swift` (rights and access flag), `HypDonate.swift` (protected guests) and
/// `HypLifeCycle.swift`.
public struct HypVM: ~Copyable {
  /// How far the VM's life has come.
  @frozen
  public enum State: UInt8, Hashable, Sendable {
    /// The host has a handle at most; no vCPU ran yet.
    case reserved
    /// `__pkvm_init_vm` was done.
    case created
    /// `__pkvm_start_teardown_vm` was done (`is_dying`).
    case dying
    /// `__pkvm_finalize_teardown_vm` was done.
    case gone
  }

  /// A vCPU at EL2: `struct pkvm_hyp_vcpu`.
  struct VCPU {
    /// `__pkvm_init_vcpu` was done.
    var isCreated = false
    /// It is loaded on some CPU.
    var isLoaded = false
    /// Pages in its memory cache.
    var memcache = 0
    /// The IPA of its last trap, if that was a stage-2 translation abort.
    var translationAbort: IPA?
  }

  /// The guest's stage-2 table. For leaves of guests, the software bits 55 and 56 are the page's state.
  public internal(set) var table: Stage2PageTable<HypGuestPages>
  /// The machine's pages, which other VMs use too.
  public let vmemmap: HypVMemmap
  /// A protected guest.
  public let isProtected: Bool
  /// The VM's number, nil before it is reserved and after it is released.
  public internal(set) var handle: PKVMHandle?
  /// How far the VM's life has come.
  public internal(set) var state = State.reserved
  var vcpus = RecordStore<VCPU>()
  /// What the handlers warned of, and the panics that older kernels would have ended with.
  public internal(set) var warnings = KernelWarnings()
  /// `__pkvm_host_share_guest` and `donate` refuse to begin with less than a map can need.
  let prechecksMemcache: Bool
  /// See `PKVMEra.relaxPermsFindsHoles`.
  let relaxPermsFindsHoles: Bool
  /// See `PKVMConfiguration.requiresLoadedVCPU`.
  let requiresLoadedVCPU: Bool
  /// Pages that were wiped before the host got them back.
  public internal(set) var zeroedPages = 0
  /// Pages whose state changed between host and guest at the host's request. A block counts all its pages: the
  /// functions of `mem_protect.c` go through them one by one.
  public internal(set) var pageStateChanges = 0
  /// Pages that were donated to refill memory caches.
  public internal(set) var refillDonations = 0
  let pageShift: UInt64
  /// How many refills of the memory cache are to fail yet.
  var failingRefills = 0

  init(_ configuration: PKVMConfiguration, memory: MemoryAccounting, vmemmap: HypVMemmap) {
    table = Stage2PageTable(
      geometry: configuration.geometry, features: configuration.features,
      pages: HypGuestPages(memory: memory))
    self.vmemmap = vmemmap
    isProtected = configuration.isProtected
    prechecksMemcache = configuration.era.prechecksMemcache
    relaxPermsFindsHoles = configuration.era.relaxPermsFindsHoles
    requiresLoadedVCPU = configuration.requiresLoadedVCPU
    pageShift = configuration.geometry.pageSize.shift
  }

  /// The memory of the whole VM.
  @inline(__always)
  var memory: MemoryAccounting {
    get { table.pages.memory }
    _modify { yield &table.pages.memory }
  }

  /// Pages in EL2's memory cache of a vCPU.
  public func memcachePages(_ vcpu: VCPUIndex) -> Int {
    vcpus.has(vcpu) ? vcpus[vcpu.rawValue].memcache : 0
  }

  /// Whether `vcpu` is loaded, as the handlers of the second group of hypercalls demand
  /// (`pkvm_get_loaded_hyp_vcpu`).
  @inline(__always)
  func isLoaded(_ vcpu: VCPUIndex) -> Bool {
    vcpus.has(vcpu) && vcpus[vcpu.rawValue].isCreated && state == .created
      && (!requiresLoadedVCPU || vcpus[vcpu.rawValue].isLoaded)
  }

  /// `get_np_pkvm_hyp_vm`: whether a hypercall that names the VM by its handle finds a non-protected one.
  @inline(__always)
  var isFoundAsNonProtected: Bool { (state == .created || state == .dying) && !isProtected }

  /// `__guest_check_transition_size`: the bytes of `pages` pages, nil (-EINVAL) for any number but 1 and a
  /// level-2 block's, and for a block that is not aligned. An unknown frame is taken for aligned.
  @inline(__always)
  mutating func transitionSize(_ pfn: PFN?, _ gfn: GFN, pages: UInt64) -> UInt64? {
    if pages == 1 { return 1 &<< pageShift }
    return blockSize(pfn, gfn, pages: pages)
  }

  @inline(never)
  private mutating func blockSize(_ pfn: PFN?, _ gfn: GFN, pages: UInt64) -> UInt64? {
    guard pages == table.geometry.pageSize.pagesPerPMD else { return nil }
    guard (gfn.rawValue | (pfn?.rawValue ?? 0)) & (pages - 1) == 0 else { return nil }
    return pages &<< pageShift
  }

  @inline(__always)
  func ipa(_ gfn: GFN) -> IPA { IPA(gfn.rawValue &<< pageShift) }

  /// `pkvm_refill_memcache`: moves pages from the host's memory cache of the vCPU to EL2's, until EL2's has
  /// as many as the host's had. Every page is donated from host to hypervisor on the way.
  ///
  /// - Returns: false where a donation failed, which makes the hypercall return -ENOMEM.
  @inline(__always)
  mutating func refillMemcache(_ vcpu: VCPUIndex, hostPages: inout Int) -> Bool {
    if failingRefills == 0, hostPages <= vcpus[vcpu.rawValue].memcache { return true }
    return donateMemcache(vcpu, hostPages: &hostPages)
  }

  @inline(never)
  private mutating func donateMemcache(_ vcpu: VCPUIndex, hostPages: inout Int) -> Bool {
    if failingRefills > 0 {
      failingRefills -= 1
      return false
    }
    let moved = min(hostPages, max(0, hostPages - vcpus[vcpu.rawValue].memcache))
    if moved > 0 {
      hostPages -= moved
      refillDonations += moved
      vcpus[vcpu.rawValue].memcache += moved
      memory.move(from: .hostMemcache, to: .hypMemcache, pages: moved)
    }
    return true
  }

  /// Whether a map may begin (`__guest_check_pgtable_memcache`): EL2's cache holds what a map can need at
  /// most. The pool does not count, and a block map asks for one page more than it can use.
  @inline(__always)
  func hasMapMemory(_ vcpu: VCPUIndex) -> Bool {
    !prechecksMemcache || vcpus[vcpu.rawValue].memcache >= table.geometry.minPages
  }

  /// Maps a leaf with the vCPU's memory cache. The caller has checked that nothing is in the way.
  @inline(__always)
  mutating func mapLeaf(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, state: HypPageState, vcpu: VCPUIndex
  ) -> KernelResult {
    let memcache = vcpus[vcpu.rawValue].memcache
    table.pages.memcache = memcache
    let result = table.map(ipa, size: size, pfn: pfn, prot: prot.union(state.prot), sharing: .exclusive)
    if table.pages.memcache != memcache { vcpus[vcpu.rawValue].memcache = table.pages.memcache }
    if result.isSuccess { pageStateChanges &+= Int(truncatingIfNeeded: size &>> pageShift) }
    // WARN_ON(kvm_pgtable_stage2_map(...)), and a warning at EL2 is a panic.
    if !result.isSuccess { warnings.record(.hypMapFailed) }
    return result
  }
}

extension KernelWarning {
  /// EL2 could not map what it had decided to: `WARN_ON` in the hypervisor, which panics.
  public static var hypMapFailed: KernelWarning {
    KernelWarning("__pkvm_host_share_guest", "kvm_pgtable_stage2_map failed at EL2: hypervisor panic")
  }
  /// A shared page has a share count of 0.
  public static var hypShareCountZero: KernelWarning {
    KernelWarning("__check_host_shared_guest", "host_share_guest_count is 0")
  }
}
