import KVMTypes

/// Rights and access flag of what a non-protected guest has mapped
/// (`arch/arm64/kvm/hyp/nvhe/mem_protect.c`).
extension HypVM {
  /// The handler of `__pkvm_host_relax_perms_guest`: adds rights to the leaf of `gfn`.
  ///
  /// -EINVAL without a loaded vCPU and for a protected one, -EINVAL for rights other than R, W and X,
  /// -EAGAIN where nothing is mapped, which before 6.19 was 0 (`PKVMEra.relaxPermsFindsHoles`).
  mutating func hostRelaxPermsGuest(_ gfn: GFN, prot: Stage2Prot, vcpu: VCPUIndex) -> KernelResult {
    guard isLoaded(vcpu), !isProtected else { return .invalid }
    if !prot.isSubset(of: .rwx) { return .invalid }
    let result = table.relaxPerms(ipa(gfn), prot: prot)
    return result == .again && !relaxPermsFindsHoles ? .success : result
  }

  /// The handler of `__pkvm_host_wrprotect_guest`: takes the right to write from the leaves of the range,
  /// without invalidating TLBs. -EINVAL for an unknown or protected VM and for a size that is neither a
  /// page nor an aligned block.
  mutating func hostWrprotectGuest(_ gfn: GFN, pages: UInt64) -> KernelResult {
    guard isFoundAsNonProtected else { return .invalid }
    guard let size = transitionSize(nil, gfn, pages: pages) else { return .invalid }
    return table.wrprotect(ipa(gfn), size: size)
  }

  /// The handler of `__pkvm_host_test_clear_young_guest`: 1 if a leaf of the range is young, 0 if none is, and
  /// with `markOld` none is afterwards. -EINVAL as for `hostWrprotectGuest`.
  mutating func hostTestClearYoungGuest(_ gfn: GFN, pages: UInt64, markOld: Bool) -> KernelResult {
    guard isFoundAsNonProtected else { return .invalid }
    guard let size = transitionSize(nil, gfn, pages: pages) else { return .invalid }
    return KernelResult(table.testClearYoung(ipa(gfn), size: size, markOld: markOld) ? 1 : 0)
  }

  /// The handler of `__pkvm_host_mkyoung_guest`: sets the access flag of the leaf of `gfn`. -EINVAL without
  /// a loaded vCPU and for a protected one; success whether there is a leaf or not.
  mutating func hostMkyoungGuest(_ gfn: GFN, vcpu: VCPUIndex) -> KernelResult {
    guard isLoaded(vcpu), !isProtected else { return .invalid }
    table.mkyoung(ipa(gfn))
    return .success
  }
}
