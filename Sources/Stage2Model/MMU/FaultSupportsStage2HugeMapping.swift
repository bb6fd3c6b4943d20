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

extension KVM where Backend: ~Copyable {
  /// `fault_supports_stage2_huge_mapping`: whether a block of `mapBytes` around `hva` fits the memslot.
  ///
  /// Guest address and host address must lie alike within the block, and the block inside the slot. pKVM
  /// knows blocks of PMD_SIZE only.
  @inlinable
  public func faultSupportsStage2HugeMapping(_ slot: Memslot, _ hva: HVA, mapBytes: UInt64) -> Bool {
    if mapBytes == pageSize.bytes { return true }
    if profile.isPKVM && mapBytes != pageSize.pmdBytes { return false }
    let mask = mapBytes - 1
    if slot.baseGFN.ipa(pageSize).rawValue & mask != slot.hva.rawValue & mask { return false }
    let block = hva.rawValue & ~mask
    return block >= slot.hva.rawValue
      && block + mapBytes <= slot.hva.rawValue + slot.pages << pageSize.shift
  }

  /// The size that the VMA suggests, reduced to what stage 2 can map there (`kvm_s2_resolve_vma_size`).
  ///
  /// A logging slot, and a profile without block mappings, maps pages only. A VMA of contiguous hugetlb pages
  /// counts as the next smaller block. Where a hugetlb page does not fit, pages are mapped and nothing grows.
  @inlinable
  public func resolveVMASize(_ slot: Memslot, _ hva: HVA, vmaShift: UInt64) -> FaultMappingSize {
    let page = FaultMappingSize(bytes: pageSize.bytes, mayGrow: false)
    if slot.isLogging || !profile.mapsBlocks { return page }
    if vmaShift <= pageSize.shift { return FaultMappingSize(bytes: pageSize.bytes, mayGrow: true) }
    let pudShift = pageSize.levelShift(.l1)
    // Only 4 KiB pages have blocks of PUD_SIZE.
    if vmaShift == pudShift, pageSize == .size4K,
      faultSupportsStage2HugeMapping(slot, hva, mapBytes: 1 << pudShift)
    {
      return FaultMappingSize(bytes: 1 << pudShift, mayGrow: true)
    }
    if vmaShift >= pageSize.levelShift(.l2),
      faultSupportsStage2HugeMapping(slot, hva, mapBytes: pageSize.pmdBytes)
    {
      return FaultMappingSize(bytes: pageSize.pmdBytes, mayGrow: true)
    }
    return page
  }
}
