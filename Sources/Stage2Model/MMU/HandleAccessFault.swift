public import KVMTypes

extension KVM where Backend: ~Copyable {
  /// `handle_access_fault`: the leaf becomes young. Under the read lock on either path: nothing is allocated
  /// and no mapping is looked up. Always succeeds, also where the leaf is gone.
  @inlinable
  @discardableResult
  public mutating func handleAccessFault(_ ipa: IPA) -> FaultOutcome {
    lock(.accessFault)
    stage2.mkyoung(ipa)
    unlock()
    return FaultOutcome(.mkyoung(ipa), .success)
  }
}
