public import KVMTypes

/// What `kvm_handle_guest_abort` does with an abort of a guest.
@frozen
public enum GuestAbortPath: Hashable, Sendable {
  /// An external abort (`kvm_handle_guest_sea`): claimed by the firmware's handler, injected, or an exit with
  /// `KVM_EXIT_ARM_SEA`. Neither stage 2 nor the event `kvm_guest_fault` has a part in it.
  case externalAbort
  /// HPFAR_EL2 does not tell the address: the VM is marked as bugged.
  case unknownAddress
  /// A translation fault beyond what the host resolves: the guest gets an address size fault
  /// (`kvm_inject_size_fault`). No event.
  case injectSizeFault
  /// A translation fault beyond the VM's IPA space: the guest gets an external abort. No event.
  case injectExternalAbort
  /// A status code that KVM does not expect: an address size fault, for instance. The event is emitted.
  case unsupported
  /// A fetch from where no memory is (`kvm_inject_sea_iabt`).
  case injectInstructionAbort
  /// The guest's stage-1 table lies where no memory is, or in read-only memory that the CPU wants to write
  /// (`kvm_inject_sea_dabt`).
  case injectDataAbort
  /// Cache maintenance of what is in no slot: the instruction is skipped.
  case skipCacheMaintenance
  /// An access to what is in no slot, or a write to a read-only one, at this address (`io_mem_abort`).
  case mmio(IPA)
  /// `handle_access_fault`.
  case accessFault
  /// `pkvm_mem_abort`.
  case pkvmMemAbort(Memslot)
  /// `gmem_abort`.
  case gmemAbort(Memslot)
  /// `user_mem_abort`.
  case userMemAbort(Memslot)

  /// What `kvm_handle_guest_abort` returns: 1 runs the guest again, 0 goes to the VMM, a negative errno ends
  /// KVM_RUN. Nil where what follows decides.
  public var result: KernelResult? {
    switch self {
    case .externalAbort, .mmio, .pkvmMemAbort, .gmemAbort, .userMemAbort: nil
    case .unknownAddress, .unsupported: .badAddress
    case .injectSizeFault, .injectExternalAbort, .injectInstructionAbort, .injectDataAbort,
      .skipCacheMaintenance, .accessFault:
      .runGuest
    }
  }

  /// Whether the event `kvm_guest_fault` was emitted on the way.
  public var isTraced: Bool {
    switch self {
    case .externalAbort, .unknownAddress, .injectSizeFault, .injectExternalAbort: false
    default: true
    }
  }
}

/// The decisions of `kvm_handle_guest_abort`, which look at the syndrome, the address and the memslots only.
///
/// Nested guests are not among them: their faults first go through the tables of the hypervisor in the guest.
@frozen
public struct GuestAbortRules: Hashable, Sendable {
  let pageSize: PageSize
  let isProtected: Bool
  let handlesExclusive: Bool
  /// Bits of an IPA of the VM.
  let ipaBits: Int
  /// Bits that the host resolves (`get_kvm_ipa_limit`).
  let hostIPABits: Int

  /// The rules of `profile`, on a host that resolves `hostIPABits`; nil for as many as the VM has, which is what
  /// pKVM gives to every VM.
  public init(_ profile: Profile, hostIPABits: Int? = nil) {
    pageSize = profile.pageSize
    isProtected = profile.isProtected
    handlesExclusive = profile.era.handlesExclusiveFaults
    ipaBits = profile.ipaBits
    self.hostIPABits = max(profile.ipaBits, hostIPABits ?? 0)
  }

  /// The path of an abort.
  ///
  /// - Parameters:
  ///   - ipa: what HPFAR_EL2 says, nil where it is not valid.
  ///   - far: FAR_EL2, whose low 12 bits complete the address of an access to a device.
  public func path(_ esr: ESR, ipa: IPA?, far: UInt64, slots: borrowing Memslots) -> GuestAbortPath {
    let kind = esr.faultKind
    if kind == .externalAbort { return .externalAbort }
    guard let ipa else { return .unknownAddress }
    if kind == .translation {
      if ipa.rawValue >> UInt64(hostIPABits) != 0 { return .injectSizeFault }
      if ipa.rawValue >> UInt64(ipaBits) != 0 { return .injectExternalAbort }
    }
    switch kind {
    case .translation, .permission, .accessFlag: break
    case .exclusiveOrAtomic where handlesExclusive: break
    default: return .unsupported
    }
    let slot = slots.slot(of: ipa.gfn(pageSize))
    guard let slot, !(esr.isWrite && slot.flags.contains(.readonly)) else {
      if esr.isInstructionAbort { return .injectInstructionAbort }
      if esr.isStage1Walk { return .injectDataAbort }
      if slot == nil && esr.isCacheMaintenance { return .skipCacheMaintenance }
      return .mmio(IPA(ipa.rawValue | far & 0xfff))
    }
    if kind == .accessFlag { return .accessFault }
    if isProtected { return .pkvmMemAbort(slot) }
    return slot.flags.contains(.guestMemfd) ? .gmemAbort(slot) : .userMemAbort(slot)
  }
}

/// What `io_mem_abort` does with an access to a device.
@frozen
public enum MMIOPath: Hashable, Sendable {
  /// No valid syndrome, and the guest is protected: it gets an external abort.
  case injectDataAbort
  /// No valid syndrome, and the VMM wants to see that: an exit with `KVM_EXIT_ARM_NISV`.
  case exitWithoutSyndrome
  /// No valid syndrome: -ENOSYS.
  case noSyndrome
  /// LD64B, ST64B or a relative: an exit with `KVM_EXIT_ARM_LDST64B`.
  case exitLDST64B
  /// A load or store of so many bytes, for a device of the kernel (the guest runs on) or of the VMM
  /// (`KVM_EXIT_MMIO`).
  case access(isWrite: Bool, bytes: Int)

  /// The path of the access that `esr` describes.
  ///
  /// - Parameter exitsWithoutSyndrome: `KVM_CAP_ARM_NISV_TO_USER`.
  public init(_ esr: ESR, _ profile: Profile, exitsWithoutSyndrome: Bool = false) {
    guard let bytes = esr.accessBytes else {
      self =
        profile.isProtected ? .injectDataAbort : exitsWithoutSyndrome ? .exitWithoutSyndrome : .noSyndrome
      return
    }
    // Bits 12:11 say the kind of load or store for these status codes alone.
    let namesLoadStoreType = (0x04...0x0f).contains(esr.faultStatusCode) || esr.faultStatusCode & 0x3e == 0x2a
    if profile.era.handlesExclusiveFaults, namesLoadStoreType, esr.rawValue >> 11 & 3 != 0 {
      self = .exitLDST64B
    } else {
      self = .access(isWrite: esr.writeNotRead, bytes: bytes)
    }
  }

  /// What `io_mem_abort` returns; nil for an access, where the device decides.
  public var result: KernelResult? {
    switch self {
    case .injectDataAbort: .runGuest
    case .exitWithoutSyndrome, .exitLDST64B: .success
    case .noSyndrome: .noSystemCall
    case .access: nil
    }
  }
}

extension KernelResult {
  /// 1: KVM_RUN goes on.
  public static var runGuest: KernelResult { KernelResult(1) }
}
