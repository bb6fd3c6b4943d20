public import KVMTypes

/// The operations that `stage2_apply_range` carries over a range.
@frozen
public enum RangeOperation: UInt8, Hashable, Sendable {
  /// `kvm_pgtable_stage2_unmap`.
  case unmap
  /// `kvm_pgtable_stage2_wrprotect`.
  case wrprotect
  /// `kvm_pgtable_stage2_flush`.
  case flush
}

extension KVM where Backend: ~Copyable {
  /// `stage2_apply_range`: runs `operation` chunk by chunk over `[start, end)`; chunks end at multiples of
  /// the biggest block. With `resched` the lock may be dropped after each chunk but the last.
  ///
  /// - Returns: the first result that is not 0; -EINVAL without a table.
  @inlinable
  mutating func stage2ApplyRange(
    _ start: UInt64, _ end: UInt64, _ operation: RangeOperation, resched: Bool
  ) -> KernelResult {
    var address = start
    while address < end {
      guard hasPageTable else { return .invalid }
      let next = geometry.chunkEnd(address, limit: end)
      let result =
        switch operation {
        case .unmap: stage2.unmap(IPA(address), size: next - address)
        case .wrprotect: stage2.wrprotect(IPA(address), size: next - address)
        case .flush: stage2.flush(IPA(address), size: next - address)
        }
      if keeps.contains(.rangeCalls) {
        rangeCalls.append(
          RangeCall(operation: operation, address: IPA(address), size: next - address, result: result))
      }
      if !result.isSuccess { return result }
      if resched && next != end { lastSection.reschedPoints += 1 }
      address = next
    }
    return .success
  }

  /// `__unmap_stage2_range`: warns of everything that is not 0. Nothing for a protected guest
  /// (`kvm_stage2_unmap_range`).
  @inlinable
  mutating func unmapStage2Range(_ start: UInt64, size: UInt64, mayBlock: Bool) {
    if profile.isProtected { return }
    if size & (pageBytes - 1) != 0 { warnings.record(.unmapSizeMisaligned) }
    let result = stage2ApplyRange(start, start &+ size, .unmap, resched: mayBlock)
    if !result.isSuccess { warnings.record(.unmapFailed) }
  }

  /// `kvm_stage2_wp_range`, also `stage2_wp_range`: takes the right to write from `[start, end)`. Invalidates
  /// no TLB. The result is ignored, as in the kernel.
  @inlinable
  mutating func stage2WPRange(_ start: UInt64, _ end: UInt64) {
    _ = stage2ApplyRange(start, end, .wrprotect, resched: true)
  }

  /// `kvm_stage2_flush_range`.
  @inlinable
  mutating func stage2FlushRange(_ start: UInt64, _ end: UInt64) {
    _ = stage2ApplyRange(start, end, .flush, resched: true)
  }
}

extension KernelWarning {
  /// An unmap of part of a page.
  public static var unmapSizeMisaligned: KernelWarning {
    KernelWarning("__unmap_stage2_range", "the size is no multiple of PAGE_SIZE")
  }
  /// An unmap that failed: under pKVM, EL2 refused to unshare.
  public static var unmapFailed: KernelWarning {
    KernelWarning("__unmap_stage2_range", "stage2_apply_range failed")
  }
}
