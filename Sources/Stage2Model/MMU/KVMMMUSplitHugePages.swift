public import KVMTypes

extension KVM where Backend: ~Copyable {
  /// `kvm_mmu_split_memory_region`: splits the blocks of a slot when dirty logging begins.
  @inlinable
  mutating func kvmMMUSplitMemoryRegion(_ slot: Memslot) {
    lock(.splitHugePages)
    _ = kvmMMUSplitHugePages(
      slot.baseGFN.ipa(pageSize).rawValue, slot.endGFN.ipa(pageSize).rawValue)
    unlock()
  }

  /// `kvm_mmu_split_huge_pages`, under the write lock: breaks blocks into pages chunk by chunk, as far as it
  /// gets. Without a chunk size, and so always under pKVM, 0 at once. The lock is dropped wherever the cache
  /// has to be filled.
  @inlinable
  mutating func kvmMMUSplitHugePages(_ start: UInt64, _ end: UInt64) -> KernelResult {
    let chunk = profile.isPKVM ? 0 : profile.splitChunkBytes
    let capacity = geometry.splitCachePages(chunk: chunk)
    if capacity == 0 { return .success }
    var address = start
    while address < end {
      if stage2.topUpSplitCache(pages: capacity) > 0 { lastSection.reschedPoints += 1 }
      guard hasPageTable else { return .invalid }
      let boundary = (address & ~(chunk - 1)) &+ chunk
      let next = boundary &- 1 < end &- 1 ? boundary : end
      let result = stage2.split(IPA(address), size: next - address, vcpu: VCPUIndex(0))
      if !result.isSuccess { return result }
      address = next
    }
    return .success
  }
}
