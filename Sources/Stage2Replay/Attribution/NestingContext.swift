internal import KVMTrace
internal import KVMTypes

/// Whether a vCPU runs on its VM's own stage 2 or on a shadow stage 2, which KVM keeps for a guest of that guest
/// (`vcpu->arch.hw_mmu`). In the second case a fault's address is that of no memslot.
///
/// KVM changes it in `kvm_emulate_nested_eret`, by a trapped ERET of the guest hypervisor, and in `kvm_inject_nested`; both have
/// an event. Where these are not recorded, the trap says when the guest hypervisor leaves, and the program counter of a kvm_entry
/// when it is back: KVM resumes a nested guest where it left it, or behind an instruction that it emulated.
struct NestingContext: BitwiseCopyable, Hashable {
  private enum Place: UInt8 {
    /// The VM's own stage 2.
    case own
    /// The guest hypervisor's ERET was trapped.
    case returning
    /// A nested guest is entered next.
    case entering
    /// A nested guest runs, or did when it exited.
    case nested
  }

  private var place = Place.own
  /// The VMM resets the vCPU once it is out of KVM_RUN.
  private var isReset = false
  /// Where the nested guest was at its last kvm_exit.
  private var pc = GuestVA(0)
  /// The epoch in which an event told last.
  private(set) var epoch = Epoch.never

  /// Whether a stage-2 fault is one of a shadow stage 2.
  @inline(__always)
  var isNested: Bool { place != .own }
  /// Whether no event has said yet what a trapped ERET returned to.
  var isReturning: Bool { place == .returning }

  /// kvm_nested_eret, which returns to what it says, and kvm_inject_nested_exception.
  mutating func take(_ record: TraceRecord, in epoch: Epoch) {
    let isEntering = record.kind == .nestedERET && !record.nestedRegime.isHypervisor
    place = isEntering ? .entering : .own
    self.epoch = epoch
  }

  /// kvm_exit of a nested guest, or by an ERET. A nested guest's own ERET can be trapped, and is given to its hypervisor.
  ///
  /// - Parameter tellsExceptions: whether kvm_inject_nested_exception is recorded.
  mutating func exit(_ exit: VCPUExit, in epoch: Epoch, tellsExceptions: Bool) {
    pc = exit.pc
    guard exit.isERET, place == .own || !tellsExceptions else { return }
    place = .returning
    self.epoch = epoch
  }

  /// kvm_entry of a nested guest, or what may be one.
  mutating func enter(at pc: GuestVA, tellsExceptions: Bool) {
    if place == .nested, !tellsExceptions, pc != self.pc, pc.rawValue != self.pc.rawValue &+ 4 {
      place = .own
    }
    if place != .own { place = .nested }
  }

  /// The VMM resets the vCPU.
  ///
  /// - Parameter isOut: whether it is out of KVM_RUN, which it has to be for that.
  mutating func reset(isOut: Bool) {
    isReset = true
    if isOut { leaveRun() }
  }

  /// The thread is out of KVM_RUN: kvm_reset_vcpu puts a vCPU to EL2, where it has one.
  mutating func leaveRun() { if isReset { self = NestingContext() } }
}
