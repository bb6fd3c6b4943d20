import KVMTypes

@testable import Stage2Model

extension KVM where Backend: ~Copyable {
  /// A memslot of `pages` at guest address `ipa`; host addresses lie alike.
  @discardableResult
  mutating func addSlot(
    _ id: UInt32 = 0, ipa: UInt64 = 0x4000_0000, bytes: UInt64 = 0x4000_0000,
    hva: UInt64 = 0x7f00_0000_0000, flags: Memslot.Flags = []
  ) -> Memslot {
    let slot = Memslot(
      id: id, baseGFN: IPA(ipa).gfn(pageSize), pages: bytes >> pageSize.shift, hva: HVA(hva), flags: flags)
    let result = createMemslot(slot)
    precondition(result.isSuccess, "\(result)")
    return slot
  }

  /// A fault on memory, handled by `user_mem_abort`.
  @discardableResult
  mutating func fault(
    _ ipa: UInt64, _ kind: FaultKind = .translation, level: TranslationLevel = .l3, write: Bool = false,
    exec: Bool = false, host: HostPage? = nil, seq: UInt64? = nil
  ) -> FaultOutcome {
    let slot = slots.slot(of: IPA(ipa).gfn(pageSize))!
    return userMemAbort(
      Stage2Fault(ipa: IPA(ipa), kind: kind, level: level, isWrite: write, isExec: exec), slot: slot,
      vcpu: VCPUIndex(0), faultIn: .page(host ?? .page(pageSize)), seq: seq ?? invalidateSeq)
  }
}

/// A profile of 7.3 with the changes that a test needs.
func profile(
  _ path: Profile.Path, _ era: PKVMEra = .v7_3, _ change: (inout Profile) -> Void = { _ in }
) -> Profile {
  var profile = Profile(path: path, era: era)
  if path == .pkvm { profile.ipaBits = 44 }
  change(&profile)
  return profile
}
