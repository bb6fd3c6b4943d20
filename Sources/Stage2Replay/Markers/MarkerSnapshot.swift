internal import KVMTrace
internal import KVMTypes

/// A memory marker when it came in, with what is known only then: the model's figures follow when all events before it have
/// been executed.
struct MarkerSnapshot {
  /// Nil where the marker only says that everything is quiet.
  var marker: MemoryMarker?
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  /// The VMs that there were, and the processes that created them.
  var vms: [(vm: VMIndex, creator: ThreadID?)]
  /// Exits and accesses to devices of all vCPUs that there were.
  var exits: Int
  var mmioExits: Int
  /// The types of VMs without memslots, which no fault has shown.
  var otherVMs: [VMType] = []
  /// Whether it is the first of the memory markers.
  var isFirst = false
  /// Why nothing can be said of the host's memory.
  var doubt: MarkerDoubt?

  /// What is known of the VMs when a memory marker comes.
  ///
  /// - Parameters:
  ///   - first: the first memory marker, which this one may be.
  ///   - wasQuiet: whether a marker before said that everything is quiet.
  mutating func note(
    _ marker: MemoryMarker, _ first: inout FirstMarker?, wasQuiet: Bool, _ state: Attribution,
    _ context: ReplayContext
  ) {
    if let first {
      doubt = Self.doubt(since: first, marker, wasQuiet: wasQuiet, state, context)
    } else {
      let sawVMs = !state.vms.live.isEmpty || !state.vms.roster.types.isEmpty
      let now = FirstMarker(marker, epoch: state.clock.epoch, sawVMs: sawVMs)
      first = now
      isFirst = true
      if now.sawVMs { doubt = .begunMidLife }
    }
    let known = Set(state.vms.live.compactMap(state.vms.roster.kvm))
    otherVMs = state.vms.roster.types.filter { !known.contains($0.key) }.map(\.value)
  }

  /// Why the memory of all VMs together is not known.
  private static func doubt(
    since first: FirstMarker, _ marker: MemoryMarker, wasQuiet: Bool, _ state: Attribution,
    _ context: ReplayContext
  ) -> MarkerDoubt? {
    if !context.survey.events.supportsDerivation { return .notRecorded }
    if state.clock.isInGap || state.clock.epoch != first.epoch { return .lostEvents }
    let roster = state.vms.roster
    let live = roster.live.map { state.vms[$0] }
    let types = roster.live.map { vm in roster.kvm(of: vm).flatMap { roster.type(of: $0) } }
    if first.sawVMs || live.contains(where: { $0.identity.wasRunning }) { return .begunMidLife }
    if types.contains(where: { $0 == nil }) { return .unknownVMs }
    if live.contains(where: { $0.slots.basis == .assumed || $0.slots.hasUnplaced }) {
      return .assumedMemslots
    }
    if types.contains(where: { type in type.map { !context.profile.fits($0) } ?? true }) {
      return .otherVMType
    }
    if !marker.anonHugeBytes.isEmpty,
      roster.live.contains(where: { roster.creator(of: $0).map { marker.anonHugeBytes[$0] == nil } ?? false })
    {
      return .notStopped
    }
    if !wasQuiet, live.contains(where: { $0.activity.lastUnmapEvent > $0.activity.last }) {
      return .movedMeanwhile
    }
    return nil
  }
}
