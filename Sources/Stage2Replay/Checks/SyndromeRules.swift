internal import KVMTypes

/// Rules that a kvm_guest_fault must satisfy by itself.
enum SyndromeRules {
  /// D19, D20: the rule that a fault breaks, nil where it is in order.
  @inline(__always)
  static func check(_ esr: ESR, _ ipa: IPA) -> DivergenceRule? {
    if ipa.rawValue & 0xfff != 0 { return .addressHasPageGranularity }
    switch esr.exceptionClass {
    case 0x20:
      // ISV and WnR exist for data aborts alone; IL is set for every instruction abort.
      if esr.syndromeValid || esr.writeNotRead || !esr.instructionLength32 { return .syndromeIsConsistent }
    case 0x24:
      if !esr.syndromeValid && !esr.instructionLength32 { return .syndromeIsConsistent }
    default:
      // kvm_handle_guest_abort handles no other class.
      return .syndromeIsConsistent
    }
    // External aborts leave no kvm_guest_fault.
    return esr.faultKind == .externalAbort ? .syndromeIsConsistent : nil
  }

  /// D9: whether an unmap covers whole pages. Everything that zaps, protects or moves memory does; aging does not
  /// always, for DAMON samples addresses.
  static func coversPages(start: HVA, end: HVA, _ pageSize: PageSize) -> Bool {
    (start.rawValue | end.rawValue) & (pageSize.bytes - 1) == 0
  }
}
