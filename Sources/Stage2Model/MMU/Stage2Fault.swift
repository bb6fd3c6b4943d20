public import KVMTypes

/// A stage-2 abort of a guest, as far as the handlers look at it (`struct kvm_vcpu_fault_info`).
@frozen
public struct Stage2Fault: Hashable, Sendable {
  /// The faulting address, as HPFAR_EL2 gives it: multiples of 4 KiB whatever the page size is.
  public var ipa: IPA
  /// Why the access failed.
  public var kind: FaultKind
  /// Where the walk stopped. A permission fault names the level of the leaf that it met.
  public var level: TranslationLevel
  /// `kvm_is_write_fault`.
  public var isWrite: Bool
  /// `kvm_vcpu_trap_is_exec_fault`.
  public var isExec: Bool

  /// An abort.
  @inlinable
  public init(
    ipa: IPA, kind: FaultKind, level: TranslationLevel, isWrite: Bool = false, isExec: Bool = false
  ) {
    self.ipa = ipa
    self.kind = kind
    self.level = level
    self.isWrite = isWrite
    self.isExec = isExec
  }

  /// The abort that `esr` reports for `ipa`, nil for a status code without a level. That of exclusive and atomic
  /// accesses has none either: the last one stands for it.
  @inlinable
  public init?(_ esr: ESR, ipa: IPA) {
    guard let level = esr.faultKind == .exclusiveOrAtomic ? .l3 : esr.level else { return nil }
    self.init(ipa: ipa, kind: esr.faultKind, level: level, isWrite: esr.isWrite, isExec: esr.isExec)
  }

  /// `perm_fault_granule`: the bytes of the leaf that denied the access, nil unless it is a permission fault.
  @inlinable
  @inline(__always)
  func permissionGranule(_ pageShift: UInt64) -> UInt64? {
    if kind != .permission { return nil }
    return 1 << ((pageShift - 3) * UInt64(4 - Int(level.rawValue)) + 3)
  }
}

/// What the host finds behind a guest page when a fault looks (`__kvm_faultin_pfn`, `vma_lookup`). No event
/// records it; a replay assumes or infers it.
@frozen
public struct HostPage: Hashable, Sendable {
  /// How the page may be cached.
  @frozen
  public enum Memory: UInt8, Hashable, Sendable {
    /// Memory.
    case normal
    /// PFNMAP of something else: mapped as device.
    case device
    /// PFNMAP with `VM_ALLOW_ANY_UNCACHED`: mapped as normal, not cacheable.
    case nonCacheable
  }

  /// The frame, nil where it is unknown.
  public var pfn: PFN?
  /// GUP gave a page that may be written (`map_writable`): a read of a page that is writable already maps it so.
  public var isWritable: Bool
  /// log2 of the hugetlb VMA's pages; `PAGE_SHIFT` for any other VMA, except that before 7.1 the alignment of device
  /// memory decided (`get_vma_page_shift`).
  public var vmaShift: UInt64
  /// Bytes of the VMM's own leaf at the address (`get_user_mapping_size`), nil where it is gone again.
  public var userMappingBytes: UInt64?
  /// How the page may be cached.
  public var memory: Memory

  /// A page of memory, in a VMA of pages.
  @inlinable
  public init(
    pfn: PFN? = nil, isWritable: Bool = true, vmaShift: UInt64, userMappingBytes: UInt64?,
    memory: Memory = .normal
  ) {
    self.pfn = pfn
    self.isWritable = isWritable
    self.vmaShift = vmaShift
    self.userMappingBytes = userMappingBytes
    self.memory = memory
  }

  /// A page that the VMM's page table maps as a page.
  @inlinable
  public static func page(_ pageSize: PageSize, pfn: PFN? = nil, isWritable: Bool = true) -> HostPage {
    HostPage(
      pfn: pfn, isWritable: isWritable, vmaShift: pageSize.shift, userMappingBytes: pageSize.bytes)
  }

  /// A page that the VMM's page table maps by a transparent huge page.
  @inlinable
  public static func transparentHuge(
    _ pageSize: PageSize, pfn: PFN? = nil, isWritable: Bool = true
  ) -> HostPage {
    HostPage(
      pfn: pfn, isWritable: isWritable, vmaShift: pageSize.shift, userMappingBytes: pageSize.pmdBytes)
  }
}

/// What looking for a page came to.
@frozen
public enum FaultIn: Hashable, Sendable {
  /// A page.
  case page(HostPage)
  /// Poisoned memory: the VMM gets SIGBUS, the fault ends with 0 and comes back.
  case hwPoison
  /// No page (`KVM_PFN_ERR_FAULT`): -EFAULT.
  case failed
}

/// What a fault handler did.
@frozen
public struct FaultOutcome: Hashable, Sendable {
  /// The call into the backend.
  @frozen
  public enum Operation: Hashable, Sendable {
    /// None was made.
    case none
    /// `kvm_pgtable_stage2_map`.
    case map(IPA, size: UInt64, prot: Stage2Prot)
    /// `kvm_pgtable_stage2_relax_perms`.
    case relaxPerms(IPA, prot: Stage2Prot)
    /// `kvm_pgtable_stage2_mkyoung`.
    case mkyoung(IPA)
  }

  /// What the handler returns: -EAGAIN became 0, and the guest runs again; 1 where it runs with an abort injected.
  public var result: KernelResult
  /// What it asked of the backend.
  public var operation: Operation
  /// What the backend answered; -EAGAIN also for a fault that retries before it asks.
  public var stage2Result: KernelResult
  /// The frame that `mark_page_dirty_in_slot` was called for.
  public var dirty: GFN?

  /// An outcome; `result` follows from `stage2Result`.
  @inlinable
  public init(_ operation: Operation, _ stage2Result: KernelResult, dirty: GFN? = nil) {
    self.operation = operation
    self.stage2Result = stage2Result
    self.dirty = dirty
    result = stage2Result == .again ? .success : stage2Result
  }

  /// Nothing was asked of the backend.
  @inlinable
  static func ended(_ result: KernelResult) -> FaultOutcome { FaultOutcome(.none, result) }
}
