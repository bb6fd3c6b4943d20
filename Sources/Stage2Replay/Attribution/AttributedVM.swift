internal import KVMTypes

/// One VM of the trace as events show it: who it is, its slots, what is under way in it. All of that is of event time; its
/// table is of execution time (`VMExecution`).
struct AttributedVM {
  /// The VM's number in the report.
  let id: VMIndex
  var identity: VMIdentity
  var slots: VMSlots
  /// The threads that run its vCPUs, in the order of appearance.
  var vcpus: [ThreadID] = []
  var activity = VMActivity()
  var unmaps = VMUnmaps()
  /// How many VMs its process has, as the notifications of its own threads show where there are several processes; nil while none
  /// did.
  var copies: NotifierCopies?
  var resets = VMResets()
  var dirtyLogs = DirtyLogs()
  var faults = FaultCounts()
  /// Faults in no slot that are not handed down: those beyond all addresses, and accesses to devices that the trace cuts.
  var faultsOutside = 0
  /// In this epoch everything is known of its table: the VM appeared in it, with nothing mapped. `never` for one that was
  /// running, or appeared in a gap.
  let knownFrom: Epoch

  /// Whether the VM is gone, or another one has taken its place: no event concerns it any more.
  var isGone: Bool { identity.end != nil }

  /// Whether what it maps is known at all: faults tell that, in slots; what was mapped before the first of them, or in a gap, none tells.
  func isTableKnown(_ events: RecordedEvents) -> Bool {
    events.tellsFaults && (!slots.history.isEmpty || faults.total == faults.mmio)
  }

  /// Where the last unmap was over that concerns a region which no fault of `epoch` has touched yet: none where the VM is known from
  /// its creation, for nothing was mapped there.
  @inline(__always)
  func unmapsBefore(_ epoch: Epoch) -> Sequence { knownFrom == epoch ? .start : unmaps.last }

  /// Whether it may have memory at host addresses that are not known.
  @inline(__always)
  var mayHaveOtherMemory: Bool { slots.hasUnplaced || identity.wasRunning }
}
