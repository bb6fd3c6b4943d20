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
  /// Where the guest was at the last kvm_exit, nil where that is not known.
  private var exitPC: GuestVA?

  /// What a trace records of this loop.
  struct Recorded: Hashable {
    /// kvm_entry, kvm_exit and kvm_guest_fault.
    var loop = false
    /// kvm_access_fault.
    var accessFaults = false
  }

  /// Whether nothing is known of where it is.
  @inline(__always)
  var isUnknown: Bool { place == .unknown }

  /// Events are missing, or may be.
  mutating func forget() {
    place = .unknown
    exitPC = nil
  }

  /// What was known of where the guest left is no more.
  mutating func forgetExit() { exitPC = nil }

  /// Whether a vCPU that enters at `pc` goes on elsewhere than where it left: neither there nor behind the instruction, which KVM
  /// may have emulated. False where it is not known where it left.
  @inline(__always)
  func jumps(to pc: GuestVA) -> Bool {
    guard let exitPC else { return false }
    let distance = pc.rawValue &- exitPC.rawValue
    // An instruction of AArch32 may have two bytes.
    return distance != 0 && distance != 2 && distance != 4
  }

  /// kvm_entry.
  ///
  /// - Parameters:
  ///   - pc: where the guest goes on.
  ///   - isInSlot: whether a slot holds the address of the fault that is being handled.
  @inline(__always)
  mutating func entry(at pc: GuestVA, isInSlot: Bool, _ recorded: Recorded) -> Judgement? {
    defer { place = .inGuest }
    if place == .aborted { return Self.judgeAbort(isGivenBack: jumps(to: pc)) }
    return leave(isInSlot, recorded)
  }

  /// kvm_userspace_exit.
  ///
  /// - Parameter takesAbort: whether it hands an abort to the VMM, or KVM_RUN fails because of one.
  mutating func userspaceExit(takesAbort: Bool, isInSlot: Bool, _ recorded: Recorded) -> Judgement? {
    defer { place = .outside }
    if place == .aborted { return Self.judgeAbort(isGivenBack: takesAbort) }
    return leave(isInSlot, recorded)
  }

  private func leave(_ isInSlot: Bool, _ recorded: Recorded) -> Judgement? {
    switch place {
    case .unknown, .outside, .faulted, .aborted: nil
    case .inGuest: .unexplained(.entryAndExitAlternate)
    case .accessFaulted:
      isInSlot && recorded.accessFaults ? .unexplained(.accessFaultFollowsGuestFault) : nil
    }
  }

  /// O2 of an abort without kvm_guest_fault. `kvm_handle_guest_abort` leaves before that event for an external abort
  /// (`kvm_handle_guest_sea`) and for an address beyond the guest's or the host's: the guest gets an exception, or the VMM
  /// an exit.
  private static func judgeAbort(isGivenBack: Bool) -> Judgement {
    isGivenBack ? .explained(.abortHasGuestFault, .abortGivenBack) : .unexplained(.abortHasGuestFault)
  }

  /// kvm_exit.
  @inline(__always)
  mutating func exit(at pc: GuestVA, isTrap: Bool, exceptionClass: UInt8) -> DivergenceRule? {
    let isOutOfOrder = place != .inGuest && place != .unknown
    exitPC = pc
    self.exceptionClass = isTrap ? exceptionClass : 0
    place = isTrap && (exceptionClass == 0x20 || exceptionClass == 0x24) ? .aborted : .outside
    return isOutOfOrder ? .entryAndExitAlternate : nil
  }

  /// kvm_guest_fault.
  @inline(__always)
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
