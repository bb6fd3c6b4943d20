public import KVMTypes

/// The window of a fault: from kvm_guest_fault to the thread's next kvm_entry, or to its return to the VMM.
public struct ObservedFault: Hashable, Sendable {
  /// When the fault came.
  public var begin: Nanoseconds
  /// When its window ended: an operation of the same thread in the window, mostly at its end, is what it led to. Nil where the trace ends
  /// before.
  public var end: Nanoseconds?
  /// Whether the end was seen; where not, the thread was past it by `end`.
  public var isEndSeen: Bool
  /// The processor on which it came.
  public var cpu: CPUIndex
  /// The thread.
  public var tid: ThreadID
  /// The VM, as the report numbers them.
  public var vm: Int
  /// The vCPU's number in its VM, in the order of appearance.
  public var vcpu: Int
  /// The address, with a granularity of 4 KiB.
  public var ipa: IPA
  /// The kind of the fault (`ESR_EL2.FSC`).
  public var kind: FaultKind
  /// The level at which the walk stopped; nil where the syndrome does not tell.
  public var level: TranslationLevel?
  /// Whether the guest wrote.
  public var isWrite: Bool
  /// Whether the guest fetched an instruction.
  public var isExec: Bool
  /// Whether it was an access to a device: kvm_mmio came.
  public var isMMIO: Bool
  /// Whether a slot holds the address, as far as was known when the window ended.
  public var isInSlot: Bool
}

extension ObservedFault {
  init(_ window: FaultWindow, vm: VMIndex, begin: Nanoseconds, end: Nanoseconds?) {
    self.begin = begin
    self.end = end
    isEndSeen = end != nil && !window.isEndUnseen
    cpu = window.cpu
    tid = window.tid
    self.vm = vm.position
    vcpu = window.vcpu
    ipa = window.address
    kind = window.kind
    level = window.walkLevel
    isWrite = window.isWrite
    isExec = window.isExec
    isMMIO = window.sawMMIO
    isInSlot = window.slot != nil
  }
}
