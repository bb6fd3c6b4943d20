internal import KVMTrace
internal import KVMTypes

/// What the attribution knows of all VMs when a marker comes.
struct MarkerRoster {
  /// A VM that is there.
  struct VM {
    var index: VMIndex
    /// The process that created it.
    var creator: ThreadID?
    /// What it was created as, nil where no probe told.
    var type: VMType?
    /// Whether it had slots before the trace began.
    var wasRunning: Bool
    /// Whether slots of it are assumed, or lie at unknown host addresses.
    var hasUncertainSlots: Bool
    /// Whether what it maps is known at all.
    var isTableKnown = true
    /// Whether the host unmapped memory of it since it did anything itself.
    var wasUnmappedSince: Bool
    /// How many vCPUs it has, and how many of them are in a fault that may have filled its memory cache.
    var vcpus = 0
    var fillingVCPUs = 0
  }

  var vms: [VM]
  /// The types of VMs without memslots, which no fault has shown.
  var otherVMs: [VMType]
  /// Exits and accesses to devices of all vCPUs that there are.
  var exits = 0
  var mmioExits = 0
  var epoch: Epoch
  /// Whether a VM has guests of its own, whose shadow tables the host counts.
  var hasNestedGuests = false

  /// Why nothing is modelled of the memory of these VMs; nil where it is.
  static func doubtOfTables(_ vms: [VM], _ context: ReplayContext) -> MarkerDoubt? {
    if !context.events.tellsFaults { return .notRecorded }
    return vms.allSatisfy(\.isTableKnown) ? nil : .assumedMemslots
  }

  /// Whether there is any VM.
  var hasVMs: Bool { !vms.isEmpty || !otherVMs.isEmpty }

  /// Why the memory of all VMs together is not known.
  ///
  /// - Parameters:
  ///   - first: the marker since which memory is counted.
  ///   - wasQuiet: whether a marker before said that everything is quiet.
  func doubt(
    since first: FirstMarker, _ marker: MemoryMarker, wasQuiet: Bool, _ context: ReplayContext
  ) -> MarkerDoubt? {
    if context.events.isUnordered { return .unorderedClock }
    if !context.events.supportsDerivation { return .notRecorded }
    if epoch.isInGap || epoch != first.epoch { return .lostEvents }
    if first.sawVMs || vms.contains(where: \.wasRunning) { return .begunMidLife }
    if hasNestedGuests { return .nestedGuests }
    if vms.contains(where: { $0.type == nil }) { return .unknownVMs }
    if vms.contains(where: \.hasUncertainSlots) { return .assumedMemslots }
    if vms.contains(where: { vm in vm.type.map { !context.profile.fits($0) } ?? true }) {
      return .otherVMType
    }
    if !marker.anonHugeBytes.isEmpty,
      vms.contains(where: { vm in vm.creator.map { marker.anonHugeBytes[$0] == nil } ?? false })
    {
      return .notStopped
    }
    if !wasQuiet, vms.contains(where: \.wasUnmappedSince) { return .movedMeanwhile }
    return nil
  }
}

extension Attribution {
  /// What is known of the VMs at the event that is being taken in.
  var markerRoster: MarkerRoster {
    let roster = vms.roster
    let known = Set(roster.live.compactMap(roster.kvm))
    var found = MarkerRoster(
      vms: roster.live.map { index in
        let vm = vms[index]
        return MarkerRoster.VM(
          index: index, creator: roster.creator(of: index),
          type: roster.kvm(of: index).flatMap { roster.type(of: $0) }, wasRunning: vm.identity.wasRunning,
          hasUncertainSlots: vm.slots.basis == .assumed || vm.slots.hasUnplaced,
          isTableKnown: vm.isTableKnown(context.events),
          wasUnmappedSince: vm.activity.lastUnmapEvent > vm.activity.last, vcpus: vm.vcpus.count,
          fillingVCPUs: fillingVCPUs(of: index))
      }, otherVMs: roster.types.filter { !known.contains($0.key) }.map(\.value), epoch: clock.epoch)
    found.hasNestedGuests = context.survey.faults.nesting.isSeen
    for thread in threads.indices {
      found.exits += threads[thread].vcpu.counts.exits
      found.mmioExits += threads[thread].vcpu.counts.mmioExits
    }
    return found
  }

  /// How many vCPUs of a VM are in a fault whose handler tops up their memory caches before it looks for the page
  /// (`topup_hyp_memcache`), which may take long: userfaultfd, swap.
  private func fillingVCPUs(of vm: VMIndex) -> Int {
    var count = 0
    threads.open.forEach(of: vm) { open in
      let kind = lookahead[open.fault].kind
      if lookahead[open.fault].slot != nil, kind == .translation || kind == .permission { count += 1 }
    }
    return count
  }
}
