internal import KVMTypes

/// Where a vCPU's thread is in the loop of `kvm_arch_vcpu_ioctl_run`: kvm_entry, the guest, kvm_exit, what KVM does about
/// it. Rules D5, D8 (the address), D18, O1 and O2, which need nothing but the order of one thread's events.
struct ThreadOrder: Hashable {
  private enum Place: UInt8 {
    /// Nothing is known: tracing began here, or events were lost.
    case unknown
    /// The guest runs.
    case inGuest
    /// KVM handles an exit.
    case outside
    /// After kvm_exit by an abort of the guest: kvm_guest_fault must come.
    case aborted
    /// After kvm_guest_fault.
    case faulted
    /// After kvm_guest_fault of an access flag fault: kvm_access_fault must come, or kvm_mmio.
    case accessFaulted
  }

  private var place = Place.unknown
  /// The exception class of the last kvm_exit, 0 for one that was no trap.
  private var exceptionClass: UInt8 = 0
  /// The address of the fault.
  private var ipa: UInt64 = 0

  /// What a trace records of this loop.
  struct Recorded: Hashable {
    /// kvm_entry, kvm_exit and kvm_guest_fault.
    var loop = false
    /// kvm_access_fault.
    var accessFaults = false
  }

  /// Events are missing, or may be.
  mutating func forget() { place = .unknown }

  /// kvm_entry.
  ///
  /// - Parameter isInSlot: whether a slot holds the address of the fault that is being handled.
  mutating func entry(isInSlot: Bool, _ recorded: Recorded) -> DivergenceRule? {
    defer { place = .inGuest }
    return leave(isInSlot, recorded)
  }

  /// kvm_userspace_exit.
  mutating func userspaceExit(isInSlot: Bool, _ recorded: Recorded) -> DivergenceRule? {
    defer { place = .outside }
    return leave(isInSlot, recorded)
  }

  private func leave(_ isInSlot: Bool, _ recorded: Recorded) -> DivergenceRule? {
    switch place {
    case .unknown, .outside, .faulted: nil
    case .inGuest: .entryAndExitAlternate
    case .aborted: .abortHasGuestFault
    case .accessFaulted: isInSlot && recorded.accessFaults ? .accessFaultFollowsGuestFault : nil
    }
  }

  /// kvm_exit.
  mutating func exit(isTrap: Bool, exceptionClass: UInt8) -> DivergenceRule? {
    let isOutOfOrder = place != .inGuest && place != .unknown
    self.exceptionClass = isTrap ? exceptionClass : 0
    place = isTrap && (exceptionClass == 0x20 || exceptionClass == 0x24) ? .aborted : .outside
    return isOutOfOrder ? .entryAndExitAlternate : nil
  }

  /// kvm_guest_fault.
  mutating func guestFault(_ ipa: IPA, _ esr: ESR) -> DivergenceRule? {
    let follows = place == .unknown || (place == .aborted && exceptionClass == esr.exceptionClass)
    self.ipa = ipa.rawValue
    place = esr.faultKind == .accessFlag ? .accessFaulted : .faulted
    return follows ? nil : .exitMatchesFault
  }

  /// kvm_access_fault.
  mutating func accessFault(_ ipa: IPA) -> DivergenceRule? {
    let follows = place == .unknown || (place == .accessFaulted && self.ipa == ipa.rawValue)
    place = .outside
    return follows ? nil : .accessFaultFollowsGuestFault
  }

  /// An event that the thread emits as any thread does: of a notifier, or of a memslot. The guest is entered and left with
  /// interrupts off, and from its exit by an abort to kvm_guest_fault nothing else is done.
  func other() -> DivergenceRule? {
    place == .inGuest || place == .aborted ? .entryAndExitAlternate : nil
  }

  /// kvm_mmio or kvm_mmio_nisv.
  ///
  /// - Parameter address: the address of an access that the guest's fault asks for; nil for the completion of a read,
  ///   and for an access whose syndrome is not valid.
  mutating func mmio(_ address: IPA?, far: GuestVA?) -> DivergenceRule? {
    defer { if place != .unknown { place = .outside } }
    switch place {
    case .unknown: return nil
    case .inGuest: return .entryAndExitAlternate
    case .aborted: return .abortHasGuestFault
    case .outside: return address == nil ? nil : .mmioLiesOutsideSlots
    case .faulted, .accessFaulted:
      guard let address, let far else { return nil }
      // io_mem_abort: the page from HPFAR_EL2, the offset in it from FAR_EL2.
      return ipa | far.rawValue & 0xfff == address.rawValue ? nil : .mmioLiesOutsideSlots
    }
  }
}
