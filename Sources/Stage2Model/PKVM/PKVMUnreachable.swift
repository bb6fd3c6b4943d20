public import KVMTypes

/// The operations that pKVM has not: they warn. The kernel reaches none of them, because EL2 never replaces a
/// table by a block and blocks are never split.
extension PKVMStage2 {
  /// `pkvm_pgtable_stage2_split`: -EINVAL and a warning.
  public mutating func split(_ ipa: IPA, size: UInt64, vcpu: VCPUIndex) -> KernelResult {
    warnings.record(.unreachable("pkvm_pgtable_stage2_split"))
    return .invalid
  }

  /// `pkvm_pgtable_stage2_free_unlinked`: a warning.
  public mutating func freeUnlinked() {
    warnings.record(.unreachable("pkvm_pgtable_stage2_free_unlinked"))
  }

  /// `pkvm_pgtable_stage2_create_unlinked`: a warning, and no table (NULL).
  public mutating func createUnlinked() {
    warnings.record(.unreachable("pkvm_pgtable_stage2_create_unlinked"))
  }
}

extension KernelWarning {
  /// `function` must not be called under pKVM.
  public static func unreachable(_ function: String) -> KernelWarning {
    KernelWarning(function, "called under pKVM")
  }
}
