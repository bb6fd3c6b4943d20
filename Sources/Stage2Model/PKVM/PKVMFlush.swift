public import KVMTypes

/// Maintenance that changes no mapping: `pkvm_pgtable_stage2_flush` and the TLB flushes of
/// `arch/arm64/kvm/mmu.c` under pKVM.
extension PKVMStage2 {
  /// `pkvm_pgtable_stage2_flush`: cleans and invalidates every mapping that overlaps the range, whole, through
  /// the host's linear map: no hypercall. With FEAT_S2FWB there is nothing to clean, and in 7.3 nothing of a mapping that is
  /// not cacheable. Always succeeds.
  public mutating func flush(_ ipa: IPA, size: UInt64) -> KernelResult {
    let hasFWB = configuration.features.hasFWB
    if hasFWB, configuration.era.flushSkipsWithFWB { return .success }
    let (first, last) = rangeFrames(ipa, size)
    var cursor = cursor(first, last)
    while let mapping = advance(&cursor) {
      if !hasFWB, !isNonCacheable(mapping) { flushedPages += Int(mapping.pages) }
    }
    return .success
  }

  /// Whether a mapping has `nc`. EL2 refuses what would set it, so where mappings are found in its table none has.
  private mutating func isNonCacheable(_ mapping: FoundMapping) -> Bool {
    guard let id = mapping.id else { return false }
    return mappings[id].isNonCacheable
  }

  /// `kvm_arch_flush_remote_tlbs` and, under pKVM, `kvm_arch_flush_remote_tlbs_range`: one hypercall, which
  /// invalidates the whole VMID whatever the range. EL2 ignores it for a VM that it does not know yet, and for a
  /// protected one (`get_np_pkvm_hyp_vm`).
  public mutating func flushRemoteTLBs() {
    hypercalls.count(.tlbFlushVMID)
    if hyp.isFoundAsNonProtected { hyp.table.flushVMID() }
  }
}

extension Stage2PageTable where Pages: ~Copyable {
  /// `__kvm_tlb_flush_vmid`.
  mutating func flushVMID() { counters.tlbiVMID += 1 }
}
