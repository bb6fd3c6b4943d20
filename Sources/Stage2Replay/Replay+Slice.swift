public import KVMTrace
internal import KVMTypes
internal import Stage2Model

extension Replay {
  /// What a slice of `source` has to say of itself, so that it is replayed as the part is of the whole. Takes a pass over the trace.
  public static func slice(of source: some EventSource, _ part: TracePart) -> SliceMarker {
    let found = SurveyedTrace(source, stated: nil, options: ReplayOptions())
    var slice = SliceMarker()
    slice.from = part.from
    // Of a part that ends behind the last event nobody knows whether the recording went on.
    let last = max(found.survey.last, part.slice?.to ?? found.survey.last)
    slice.to = part.to.flatMap { $0 <= last ? $0 : nil }
    // What contradicts itself, or is no arm64 host, is told by a replay.
    if UnreplayableTrace(machineOf: source) == nil, found.survey.sawKVM,
      let profile = try? ReplayProfile(ProfileRequest(), found.profile)
    {
      slice.tell(profile)
    }
    return slice
  }
}

extension SliceMarker {
  /// Puts down what is known of the traced host. What is assumed of it stays open.
  fileprivate mutating func tell(_ host: ReplayProfile) {
    func isKnown(_ field: ProfileField.ID) -> Bool { host.basis[field] ?? .assumed != .assumed }
    if isKnown(.path) {
      isPKVM = host.isPKVM
      // The host's limit, or what VMs were created with: which of the two, the path decides.
      if isKnown(.ipaBits) { ipaBits = host.ipaBits }
    }
    if isKnown(.hardwareAF) { hasHardwareAF = host.hasHardwareAccessFlag }
    if isKnown(.dic) { hasDIC = host.profile.hasDIC }
  }
}
