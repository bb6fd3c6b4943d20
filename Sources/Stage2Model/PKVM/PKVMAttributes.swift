public import KVMTypes

/// Rights and access flag: `pkvm_pgtable_stage2_{wrprotect, test_clear_young, relax_perms, mkyoung}`.
extension PKVMStage2 {
  /// `pkvm_pgtable_stage2_wrprotect`: takes the right to write from every mapping that overlaps the range,
  /// whole, with one hypercall each. The caller invalidates the TLBs. The first error of EL2 ends it, with
  /// a warning. -EPERM, with a warning, for a protected guest.
  public mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult {
    if configuration.isProtected {
      warnings.record(.protected("pkvm_pgtable_stage2_wrprotect"))
      return .notPermitted
    }
    let (first, last) = rangeFrames(ipa, size)
    var cursor = cursor(first, last)
    while let mapping = advance(&cursor) {
      count(.hostWrprotectGuest, cursor)
      let result = hyp.hostWrprotectGuest(mapping.gfn, pages: mapping.pages)
      if !result.isSuccess {
        warnings.record(.wrprotectFailed)
        return result
      }
    }
    return .success
  }

  /// `pkvm_pgtable_stage2_test_clear_young`: whether EL2 reported any mapping that overlaps the range as
  /// young. Mappings are looked at whole: aging one page of a block ages the block.
  ///
  /// Every mapping costs a hypercall, also after a young one. An error of EL2 counts as young, since the
  /// kernel collects the results by OR. False, with a warning, for a protected guest.
  public mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool {
    if configuration.isProtected {
      warnings.record(.protected("pkvm_pgtable_stage2_test_clear_young"))
      return false
    }
    let (first, last) = rangeFrames(ipa, size)
    var cursor = cursor(first, last)
    var young = false
    while let mapping = advance(&cursor) {
      count(.hostTestClearYoungGuest, cursor)
      let result = hyp.hostTestClearYoungGuest(mapping.gfn, pages: mapping.pages, markOld: markOld)
      young = young || result.rawValue != 0
    }
    return young
  }

  /// `pkvm_pgtable_stage2_relax_perms`: one hypercall for the page of `ipa`, whose result is returned. The
  /// tree is not looked at. -EPERM, with a warning, for a protected guest.
  ///
  /// The hypercall acts on the vCPU that is loaded on the calling CPU; this form takes the first one that
  /// has run. Callers that model loading pass theirs.
  public mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult {
    relaxPerms(ipa, prot: prot, vcpu: anyVCPU)
  }

  /// `pkvm_pgtable_stage2_relax_perms` on the CPU that has `vcpu` loaded.
  public mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot, vcpu: VCPUIndex) -> KernelResult {
    if configuration.isProtected {
      warnings.record(.protected("pkvm_pgtable_stage2_relax_perms"))
      return .notPermitted
    }
    prepare(vcpu)
    hypercalls.count(.hostRelaxPermsGuest)
    return hyp.hostRelaxPermsGuest(gfn(ipa), prot: prot, vcpu: vcpu)
  }

  /// `pkvm_pgtable_stage2_mkyoung`: one hypercall for the page of `ipa`. The tree is not looked at, which makes
  /// it safe under the read side of `mmu_lock`. Nothing but a warning for a protected guest. For the vCPU
  /// see `relaxPerms`.
  public mutating func mkyoung(_ ipa: IPA) { mkyoung(ipa, vcpu: anyVCPU) }

  /// `pkvm_pgtable_stage2_mkyoung` on the CPU that has `vcpu` loaded.
  public mutating func mkyoung(_ ipa: IPA, vcpu: VCPUIndex) {
    if configuration.isProtected {
      warnings.record(.protected("pkvm_pgtable_stage2_mkyoung"))
      return
    }
    prepare(vcpu)
    hypercalls.count(.hostMkyoungGuest)
    if !hyp.hostMkyoungGuest(gfn(ipa), vcpu: vcpu).isSuccess { warnings.record(.mkyoungFailed) }
  }
}

extension KernelWarning {
  /// EL2 refused to take the right to write.
  public static var wrprotectFailed: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_wrprotect", "__pkvm_host_wrprotect_guest failed")
  }
  /// EL2 refused to set the access flag.
  public static var mkyoungFailed: KernelWarning {
    KernelWarning("pkvm_pgtable_stage2_mkyoung", "__pkvm_host_mkyoung_guest failed")
  }
}
