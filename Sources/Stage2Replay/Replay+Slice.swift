public import KVMTrace
internal import KVMTypes
internal import Stage2Model

extension Replay {
  /// What a slice of `source` has to say of itself, so that it is replayed as the part is of the whole. Takes a pass over the trace.
  ///
  /// - Parameters:
  ///   - chosen: by what events of the part are left out.
  ///   - others: which VMs are left out, nil where VMs were not chosen.
  public static func slice(
    of source: some EventSource, _ part: TracePart, leavingOutBy chosen: Set<SliceMarker.Choice> = [],
    others: SliceMarker.OtherVMs? = nil
  ) -> SliceMarkers {
    let found = SurveyedTrace(source, stated: nil, options: ReplayOptions())
    var slice = SliceMarker()
    slice.from = part.from
    slice.chosen = chosen.union(part.slice?.chosen ?? [])
    slice.otherVMs = [others, part.slice?.otherVMs].compactMap(\.self).max()
    // Of a part that ends behind the last event nobody knows whether the recording went on.
    let last = max(found.survey.last, part.slice?.to ?? found.survey.last)
    slice.to = part.to.flatMap { $0 <= last ? $0 : nil }
    if found.survey.sawKVM { slice.unrecorded = found.survey.events.missing }
    // What contradicts itself, or is no arm64 host, is told by a replay.
    if UnreplayableTrace(machineOf: source) == nil, found.survey.sawKVM,
      let profile = try? ReplayProfile(ProfileRequest(), found.profile)
    {
      slice.tell(profile)
    }
    let gaps = found.survey.gaps.ranges(of: found.survey.events)
    let isBehindGap = part.from.map { from in gaps.contains { $0.lowerBound < from } } ?? false
    return SliceMarkers(
      slice, found.evidence, running: isBehindGap ? threadsRunning(in: source, before: part.from) : [])
  }

  /// The threads that run guests from before the first event that is missing until a part begins: of these it is known that they are of no
  /// VM that appeared where events are missing. None, where that cannot be replayed.
  private static func threadsRunning(
    in source: some EventSource, before from: Nanoseconds?
  ) -> [ThreadID] {
    var options = ReplayOptions()
    options.to = from
    let ahead = try? run(over: source, profile: ProfileRequest(), options: options)
    return ahead?.result.runningFromBeginning ?? []
  }
}

/// What a part that is cut out of a recording says of itself.
public struct SliceMarkers {
  /// Which change of memslots a VM appears with.
  private struct Birth: Hashable {
    let kvm: KernelAddress
    let time: Nanoseconds
  }

  /// What stands in its first events.
  public let headings: [String]
  /// By the first change of a VM's slots, the threads of its vCPUs, of those VMs that have not appeared yet.
  private var threads: [Birth: [ThreadID]]

  init(_ slice: SliceMarker, _ evidence: VCPUEvidence, running: [ThreadID]) {
    headings =
      [slice.text].compactMap(\.self) + ThreadsMarker.markers(.running, naming: running).map(\.text)
    let births = evidence.settledVMs.filter { !$0.threads.isEmpty }.map {
      (Birth(kvm: $0.vm.kvm, time: $0.vm.since), $0.threads)
    }
    threads = Dictionary(births, uniquingKeysWith: +)
  }

  /// What stands right behind an event of the part, or of before it.
  public mutating func take(behind record: TraceRecord) -> [ThreadsMarker] {
    guard record.kind == .commitMemoryRegion, !threads.isEmpty else { return [] }
    let birth = Birth(kvm: record.memslotCommit.kvm, time: record.time)
    return threads.removeValue(forKey: birth).map { ThreadsMarker.markers(.vcpus, naming: $0) } ?? []
  }
}

extension SliceMarker {
  /// Puts down what is known of the traced host. What is assumed of it stays open, but for who changes tables and the size of guest
  /// physical addresses: there all of a recording may suggest what a part does not.
  fileprivate mutating func tell(_ host: ReplayProfile) {
    func isKnown(_ field: ProfileField.ID) -> Bool { host.basis[field] ?? .assumed != .assumed }
    if isKnown(.path) {
      isPKVM = host.isPKVM
      // The host's limit, or what VMs were created with: which of the two, the path decides.
      if isKnown(.ipaBits) { ipaBits = host.ipaBits }
    } else {
      suggestsPKVM = host.isPKVM
    }
    // What the first faults of all suggest, a part does not show.
    if !isKnown(.ipaBits) { suggestedIPABits = host.ipaBits }
    if isKnown(.hardwareAF) { hasHardwareAF = host.hasHardwareAccessFlag }
    if isKnown(.dic) { hasDIC = host.profile.hasDIC }
  }
}
