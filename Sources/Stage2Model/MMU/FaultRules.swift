public import KVMTypes

/// What a VMA and a memslot allow a fault to map: the first stage of `user_mem_abort`.
@frozen
public struct FaultMappingSize: Hashable, Sendable {
  /// `vma_pagesize`.
  public var bytes: UInt64
  /// Whether a transparent huge page may still enlarge it (`max_map_size` is not a page).
  public var mayGrow: Bool

  /// A size.
  @inlinable
  public init(bytes: UInt64, mayGrow: Bool) {
    self.bytes = bytes
    self.mayGrow = mayGrow
  }
}

/// The decisions of `user_mem_abort` that need no state: size, rights, address, top-up.
///
/// They are values of their own, and small: a method of a VM that only reads would copy the VM to the stack.
@frozen
public struct FaultRules: Hashable, Sendable {
  /// What a profile says in yes and no. One word: a value of many parts is taken apart and put together for each call.
  @usableFromInline
  struct Behaviors: OptionSet, Hashable, Sendable {
    @usableFromInline let rawValue: UInt32
    @inlinable init(rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable static var isPKVM: Behaviors { Behaviors(rawValue: 1 << 0) }
    @inlinable static var mapsBlocks: Behaviors { Behaviors(rawValue: 1 << 1) }
    @inlinable static var hasDIC: Behaviors { Behaviors(rawValue: 1 << 2) }
    @inlinable static var topsUpOnEveryFault: Behaviors { Behaviors(rawValue: 1 << 3) }
    @inlinable static var topsUpWhileLogging: Behaviors { Behaviors(rawValue: 1 << 4) }
    @inlinable static var alignsFaultIPA: Behaviors { Behaviors(rawValue: 1 << 5) }
    @inlinable static var growsDeviceMappings: Behaviors { Behaviors(rawValue: 1 << 6) }
    @inlinable static var refusesReadPermissionFaults: Behaviors { Behaviors(rawValue: 1 << 7) }
  }

  @usableFromInline let pageShift: UInt64
  @usableFromInline let behaviors: Behaviors

  /// The rules of `profile`.
  public init(_ profile: Profile) {
    pageShift = profile.pageSize.shift
    var behaviors: Behaviors = []
    if profile.isPKVM { behaviors.insert(.isPKVM) }
    if profile.mapsBlocks { behaviors.insert(.mapsBlocks) }
    if profile.hasDIC { behaviors.insert(.hasDIC) }
    if profile.isPKVM && profile.era.topsUpOnEveryFault { behaviors.insert(.topsUpOnEveryFault) }
    if profile.era.topsUpWhileLogging { behaviors.insert(.topsUpWhileLogging) }
    if profile.alignsFaultIPA ?? profile.era.alignsFaultIPA { behaviors.insert(.alignsFaultIPA) }
    if profile.era.growsDeviceMappings { behaviors.insert(.growsDeviceMappings) }
    if profile.era.refusesReadPermissionFaults { behaviors.insert(.refusesReadPermissionFaults) }
    self.behaviors = behaviors
  }

  @inlinable
  @inline(__always)
  func has(_ behavior: Behaviors) -> Bool { behaviors.contains(behavior) }

  /// `PAGE_SIZE`.
  @inlinable
  @inline(__always)
  var pageBytes: UInt64 { 1 &<< pageShift }

  /// `PMD_SIZE`.
  @inlinable
  @inline(__always)
  var pmdBytes: UInt64 { 1 &<< (2 &* pageShift &- 3) }

  /// Whether the fault ends with -EFAULT before anything is looked at.
  @inlinable
  @inline(__always)
  public func refuses(_ fault: Stage2Fault) -> Bool {
    has(.refusesReadPermissionFaults) && fault.kind == .permission && !fault.isWrite && !fault.isExec
  }

  /// Whether a transparent huge page, or a huge leaf of device memory, may make a block of a page.
  @inlinable
  @inline(__always)
  public func mayGrow(_ size: FaultMappingSize, _ host: HostPage) -> Bool {
    size.bytes == pageBytes && size.mayGrow && (host.memory == .normal || has(.growsDeviceMappings))
  }

  /// When a fault tops up the vCPU's memory cache: a permission fault usually needs no table. It may have to
  /// break a block while dirty pages are logged; and under pKVM it may need a mapping object to change the
  /// size of a mapping, which kernels before 7.3 overlooked.
  @inlinable
  @inline(__always)
  public func topsUp(_ fault: Stage2Fault, _ slot: Memslot) -> Bool {
    if fault.kind != .permission || has(.topsUpOnEveryFault) { return true }
    return slot.isLogging && (fault.isWrite || has(.topsUpWhileLogging))
  }

  /// The rights of a fault's mapping (`kvm_s2_fault_compute_prot`), nil for -ENOEXEC.
  ///
  /// Reading always. Writing where the host's page may be written, unless dirty pages are logged and this is
  /// no write. Execution for a fetch, and with CTR_EL0.DIC for all cacheable memory.
  @inlinable
  @inline(__always)
  public func prot(_ fault: Stage2Fault, _ slot: Memslot, _ host: HostPage) -> Stage2Prot? {
    var prot = Stage2Prot.read
    if host.isWritable && (host.memory != .normal || !slot.isLogging || fault.isWrite) {
      prot.insert(.write)
    }
    switch host.memory {
    case .normal:
      if fault.isExec || has(.hasDIC) { prot.formUnion(.execute) }
    case .device:
      if fault.isExec { return nil }
      prot.insert(.device)
    case .nonCacheable:
      if fault.isExec { return nil }
      prot.insert(.normalNonCacheable)
    }
    return prot
  }

  /// The address that reaches the backend. Kernels before 7.0 passed HPFAR's, which has bits below a page of
  /// 16 KiB or 64 KiB; only a block was aligned (`PKVMEra.alignsFaultIPA`).
  @inlinable
  @inline(__always)
  public func address(_ ipa: IPA, size: UInt64) -> IPA {
    if size == pageBytes && !has(.alignsFaultIPA) { return ipa }
    return ipa.alignedDown(to: size)
  }

  // MARK: Size

  /// Whether a fault maps a page before the slot is looked at, as most do: the VMM maps a page there, so nothing suggests a
  /// block or lets one grow, and no leaf was in the way that could be relaxed instead.
  @inlinable
  @inline(__always)
  func mapsPage(_ fault: Stage2Fault, _ host: HostPage) -> Bool {
    guard let user = host.userMappingBytes else { return false }
    return user == pageBytes && host.vmaShift <= pageShift && fault.kind == .translation
  }

  /// `fault_supports_stage2_huge_mapping`: whether a block of `mapBytes` around `hva` fits the memslot.
  ///
  /// Guest address and host address must lie alike within the block, and the block inside the slot. pKVM
  /// knows blocks of PMD_SIZE only.
  @inlinable
  public func supportsHugeMapping(_ slot: Memslot, _ hva: HVA, mapBytes: UInt64) -> Bool {
    if mapBytes == pageBytes { return true }
    if has(.isPKVM) && mapBytes != pmdBytes { return false }
    let mask = mapBytes - 1
    if slot.baseGFN.rawValue &<< pageShift & mask != slot.hva.rawValue & mask { return false }
    let block = hva.rawValue & ~mask
    return block >= slot.hva.rawValue && block + mapBytes <= slot.hva.rawValue + slot.pages &<< pageShift
  }

  /// The size that the VMA suggests, reduced to what stage 2 can map there (`kvm_s2_resolve_vma_size`).
  ///
  /// A logging slot, and a profile without block mappings, maps pages only. A VMA of contiguous hugetlb pages
  /// counts as the next smaller block. Where a hugetlb page does not fit, pages are mapped and nothing grows.
  @inlinable
  @inline(__always)
  public func resolveVMASize(_ slot: Memslot, _ hva: HVA, vmaShift: UInt64) -> FaultMappingSize {
    let page = FaultMappingSize(bytes: pageBytes, mayGrow: false)
    if slot.isLogging || !has(.mapsBlocks) { return page }
    if vmaShift <= pageShift { return FaultMappingSize(bytes: pageBytes, mayGrow: true) }
    // Only 4 KiB pages have blocks of PUD_SIZE, 1 GiB.
    if vmaShift == 30, pageShift == 12, supportsHugeMapping(slot, hva, mapBytes: 1 << 30) {
      return FaultMappingSize(bytes: 1 << 30, mayGrow: true)
    }
    if 1 << vmaShift >= pmdBytes, supportsHugeMapping(slot, hva, mapBytes: pmdBytes) {
      return FaultMappingSize(bytes: pmdBytes, mayGrow: true)
    }
    return page
  }

  /// `transparent_hugepage_adjust`: the size of the mapping that the VMM's own page table and the memslot
  /// allow: a page or a PMD, nil where the VMM's entry is gone (-EAGAIN). Only a huge leaf counts; a large folio
  /// that is mapped by pages does not.
  @inlinable
  @inline(__always)
  public func transparentHugepageAdjust(_ slot: Memslot, _ hva: HVA, _ host: HostPage) -> UInt64? {
    // The slot does not matter where the VMM's leaf is too small, which most are.
    if let user = host.userMappingBytes, user < pmdBytes { return pageBytes }
    guard supportsHugeMapping(slot, hva, mapBytes: pmdBytes) else { return pageBytes }
    return host.userMappingBytes == nil ? nil : pmdBytes
  }
}
