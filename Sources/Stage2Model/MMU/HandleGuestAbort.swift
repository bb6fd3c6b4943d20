public import KVMTypes

/// How an abort of a guest was handled.
@frozen
public struct GuestAbortOutcome: Hashable, Sendable {
  /// The path that it took.
  public var path: GuestAbortPath
  /// What the handler of stage 2 did, nil where none was reached.
  public var fault: FaultOutcome?
  /// What `kvm_handle_guest_abort` returned: 1 runs the guest again, 0 goes to the VMM. Nil for an external abort and
  /// for an access to a device, which lie outside.
  public var result: KernelResult?

  /// An outcome.
  @inlinable
  public init(path: GuestAbortPath, fault: FaultOutcome?, result: KernelResult?) {
    self.path = path
    self.fault = fault
    self.result = result
  }
}

extension KVM where Backend: ~Copyable {
  /// `kvm_handle_guest_abort`: finds the path (`GuestAbortRules`) and takes it as far as stage 2 goes.
  ///
  /// - Parameters:
  ///   - ipa: what HPFAR_EL2 says, nil where it is not valid.
  ///   - far: FAR_EL2.
  ///   - faultIn: what the host finds behind the page.
  ///   - seq: `invalidateSeq` as it was before the page was looked up.
  ///   - rules: what decides the path.
  public mutating func kvmHandleGuestAbort(
    _ esr: ESR, ipa: IPA?, far: UInt64, vcpu: VCPUIndex, faultIn: FaultIn, seq: UInt64, rules: GuestAbortRules
  ) -> GuestAbortOutcome {
    let path = rules.path(esr, ipa: ipa, far: far, slots: slots)
    guard let ipa, let fault = Stage2Fault(esr, ipa: ipa) else {
      return GuestAbortOutcome(path: path, fault: nil, result: path.result)
    }
    let outcome: FaultOutcome
    switch path {
    case .accessFault: outcome = handleAccessFault(ipa)
    case .pkvmMemAbort(let slot): outcome = pkvmMemAbort(fault, slot: slot, vcpu: vcpu, faultIn: faultIn)
    case .gmemAbort(let slot):
      var pfn: PFN?
      if case .page(let page) = faultIn { pfn = page.pfn }
      outcome = gmemAbort(fault, slot: slot, vcpu: vcpu, pfn: pfn, seq: seq)
    case .userMemAbort(let slot):
      outcome = userMemAbort(fault, slot: slot, vcpu: vcpu, faultIn: faultIn, seq: seq)
    default: return GuestAbortOutcome(path: path, fault: nil, result: path.result)
    }
    // -ENOEXEC: the guest gets an external abort for its fetch.
    let result = outcome.result
    let runsOn = result.isSuccess || result == .noExec
    return GuestAbortOutcome(path: path, fault: outcome, result: runsOn ? .runGuest : result)
  }
}
