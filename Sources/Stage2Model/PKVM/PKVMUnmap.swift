public import KVMTypes

/// `pkvm_pgtable_stage2_unmap` and the helper that it shares with `map` and `destroy_range`.
extension PKVMStage2 {
  /// `pkvm_pgtable_stage2_unmap`: takes back every mapping that overlaps the range, whole: more than the
  /// range where a block reaches beyond it.
  ///
  /// One hypercall for each mapping, none for holes. The first error of EL2 ends it, with a warning, and is
  /// returned. -EPERM, with a warning, for a protected guest.
  public mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult {
    if configuration.isProtected {
      warnings.record(.protected("pkvm_pgtable_stage2_unmap"))
      return .notPermitted
    }
    let (first, last) = rangeFrames(ipa, size)
    return unshareMappings(first, last)
  }

  /// `__pkvm_pgtable_stage2_unmap`, in 7.3 `__pkvm_pgtable_stage2_unshare`: unshares every mapping that
  /// overlaps the frames `first...last`. The mapping that EL2 refuses and those after it stay.
  @inline(never)
  mutating func unshareMappings(_ first: GFN, _ last: GFN) -> KernelResult {
    var cursor = cursor(first, last)
    while let mapping = advance(&cursor) {
      count(.hostUnshareGuest, cursor)
      let result = hyp.hostUnshareGuest(mapping.gfn, pages: mapping.pages)
      if !result.isSuccess {
        warnings.record(.unshareFailed)
        return result
      }
      removeMapping(mapping)
    }
    return .success
  }
}

extension KernelWarning {
  /// EL2 refused to unshare.
  public static var unshareFailed: KernelWarning {
    KernelWarning("__pkvm_pgtable_stage2_unmap", "__pkvm_host_unshare_guest failed")
  }

  /// `function` was called for a protected guest, which has no such operation.
  public static func protected(_ function: String) -> KernelWarning {
    KernelWarning(function, "the guest is protected")
  }
}
