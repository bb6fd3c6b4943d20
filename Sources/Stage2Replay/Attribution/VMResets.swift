internal import KVMTrace
internal import KVMTypes

/// All vCPUs of a VM are outside KVM_RUN since some event: where in the trace, and where the thread was that made the VM's
/// slots, for it is the one that resets a machine.
struct VMStop: BitwiseCopyable {
  var sequence: Sequence
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  var place: ThreadPlace
}

/// What shows that a VM's vCPUs are initialised again, and when they were.
struct VMResets {
  /// Where a vCPU left KVM_RUN last, since the last time.
  private(set) var stop: VMStop?
  private var firstFault: GuestFault?
  /// Those that were found.
  private(set) var found: [VMReset] = []

  /// A vCPU leaves KVM_RUN: it may be the last of its VM to do so.
  @inline(__always)
  mutating func leaveRun(_ stop: VMStop) { self.stop = stop }

  /// The VM's first fault.
  mutating func begin(with fault: GuestFault) { firstFault = fault }

  /// The level at which a fault's walk stopped, if the fault is that of a fetch and shows that nothing was mapped: no table is below
  /// the first one, or none where the VM's very first fault met none. (A VM can have memory that no slot holds, the vGIC's.)
  ///
  /// - Parameters:
  ///   - startLevel: that of the tables with which a walk begins.
  ///   - wasRunning: whether the VM ran before the trace began, so that its first fault is not known.
  func emptyLevel(
    at fault: GuestFault, startLevel: TranslationLevel, wasRunning: Bool
  ) -> TranslationLevel? {
    // Emulators report the level of the guest's own table for a fault of its walk.
    guard fault.esr.isInstructionAbort, fault.esr.faultKind == .translation, !fault.esr.isStage1Walk,
      let level = fault.esr.level, level < .l3
    else { return nil }
    if level <= startLevel { return level }
    guard !wasRunning, let firstFault, firstFault.esr.level == level, firstFault.ipa == fault.ipa,
      firstFault.pc == fault.pc
    else { return nil }
    return level
  }

  /// So many vCPUs were initialised again since the last stop, which accounts for nothing more.
  mutating func note(vcpus: Int) {
    guard let stop else { return }
    found.append(VMReset(time: stop.time, vcpus: vcpus))
    self.stop = nil
  }
}
