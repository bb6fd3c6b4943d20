public import KVMTypes

/// What the first event of a part that was cut out of a recording says of it, such as `pkvm-replay:slice from=NS to=NS path=pkvm
/// hardware_af=0`: which part it is, and what is known of the host, which events of other parts may tell.
public struct SliceMarker: Hashable, Sendable {
  /// By what events of the part's own time were left out, so that some of what a vCPU or its host did is missing: no VM is left out as a
  /// whole, and nothing says which kinds of event there are.
  public enum Choice: String, Hashable, CaseIterable, Sendable {
    case cpu, thread, filter
  }

  /// Which VMs' events were left out of a part that has those of chosen VMs alone.
  public enum OtherVMs: String, Comparable, Sendable {
    /// None that was there at a time of the part at which a chosen one was.
    case elsewhen
    /// Some that were there at the same time: what tells the memory of one VM from that of another is missing.
    case meanwhile

    /// Less is known where more is missing.
    public static func < (a: OtherVMs, b: OtherVMs) -> Bool { a == .elsewhen && b == .meanwhile }
  }

  /// The part's first moment; nil where it begins with the recording. Of what comes before, only the events are kept that tell of VMs
  /// and their memslots, and what else its replay has to know.
  public var from: Nanoseconds?
  /// The first moment behind the part, at which the recording went on; nil where it ends with the recording.
  public var to: Nanoseconds?
  /// By what events of it were left out.
  public var chosen: Set<Choice> = []
  /// Which VMs were left out; nil where VMs were not chosen. What is about no VM is left out with them.
  public var otherVMs: OtherVMs?
  /// Whether pKVM changes the guests' tables; nil, like all that follows, where the recording does not tell.
  public var isPKVM: Bool?
  /// Whether pKVM changes them as all of the recording suggests, where it does not tell.
  public var suggestsPKVM: Bool?
  /// The bits of guest physical addresses.
  public var ipaBits: Int?
  /// The bits that all of the recording suggests where it does not tell them.
  public var suggestedIPABits: Int?
  /// Whether the CPU sets access flags itself.
  public var hasHardwareAF: Bool?
  /// Whether instruction caches need no maintenance (CTR_EL0.DIC).
  public var hasDIC: Bool?

  /// The kinds of event that the recording lacks though they happened; nil where it has no event of KVM's at all.
  public var unrecorded: Set<EventKind>?

  /// A part that is all of a recording.
  public init() {}

  /// The marker with these settings. Those that are unknown or of another form are left out.
  init(_ settings: [TraceMarker.Setting]) {
    for setting in settings {
      switch setting.key {
      case "from": from = UInt64(setting.value).map(Nanoseconds.init)
      case "to": to = UInt64(setting.value).map(Nanoseconds.init)
      case "chosen":
        chosen = Set(setting.value.split(separator: ",").compactMap { Choice(rawValue: String($0)) })
      case "other_vms": otherVMs = OtherVMs(rawValue: setting.value)
      case "path": isPKVM = Self.paths[setting.value]
      case "path_assumed": suggestsPKVM = Self.paths[setting.value]
      case "ipa_bits": ipaBits = Self.bits(setting.value)
      case "ipa_bits_assumed": suggestedIPABits = Self.bits(setting.value)
      case "hardware_af": hasHardwareAF = Self.flags[setting.value]
      case "dic": hasDIC = Self.flags[setting.value]
      case "unrecorded":
        unrecorded = Set(
          setting.value.split(separator: ",").compactMap { EventSchema.kind(named: String($0)) })
      default: break
      }
    }
    // No part ends before it begins.
    if let from, let to, from >= to { (self.from, self.to) = (nil, nil) }
  }

  private static let flags = ["0": false, "1": true]
  private static let paths = ["pkvm": true, "traditional": false]

  private static func path(_ isPKVM: Bool) -> String { isPKVM ? "pkvm" : "traditional" }

  private static func bits(_ text: String) -> Int? {
    Int(text).flatMap { (32...52).contains($0) ? $0 : nil }
  }

  /// The line that says this, nil where there is nothing to say.
  public var text: String? {
    let settings: [(String, String?)] = [
      ("from", from.map { String($0.rawValue) }), ("to", to.map { String($0.rawValue) }),
      (
        "chosen",
        chosen.isEmpty ? nil : Choice.allCases.filter(chosen.contains).map(\.rawValue).joined(separator: ",")
      ),
      ("other_vms", otherVMs?.rawValue), ("path", isPKVM.map(Self.path)),
      ("path_assumed", suggestsPKVM.map(Self.path)),
      ("ipa_bits", ipaBits.map { String($0) }),
      ("ipa_bits_assumed", suggestedIPABits.map { String($0) }),
      ("hardware_af", hasHardwareAF.map { $0 ? "1" : "0" }), ("dic", hasDIC.map { $0 ? "1" : "0" }),
      ("unrecorded", unrecorded.map { $0.compactMap(EventSchema.name(of:)).sorted().joined(separator: ",") }),
    ]
    let words = settings.compactMap { key, value in value.map { "\(key)=\($0)" } }
    return words.isEmpty ? nil : "\(TraceMarker.prefix)slice " + words.joined(separator: " ")
  }
}

extension SliceMarker {
  /// What a marker at `time` says of the part that the trace is, whose first event is at `first`; nil where it says nothing. A part says
  /// so in its first event, with whose stamp there may be events of other CPUs; what stands later was recorded.
  package init?(_ marker: TraceMarker?, at time: Nanoseconds, first: Nanoseconds) {
    guard case .slice(let slice) = marker, time <= first else { return nil }
    self = slice
  }

  /// What `trace` says of the part of a recording that it is, nil where it says nothing.
  init?(of trace: TraceFile) {
    var first: Nanoseconds?
    var reader = trace.events(.replay(probes: false))
    while let run = reader.nextRun() {
      for position in 0..<run.count {
        let time = run[position].time
        let begin = first ?? time
        guard time <= begin else { return nil }
        first = begin
        guard let found = SliceMarker(run.marker(position), at: time, first: begin) else { continue }
        self = found
        return
      }
    }
    return nil
  }
}
