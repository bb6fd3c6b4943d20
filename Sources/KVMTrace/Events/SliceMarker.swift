public import KVMTypes

/// What the first event of a part that was cut out of a recording says of it: `pkvm-replay:slice from=NS to=NS`.
public struct SliceMarker: Hashable, Sendable {
  /// The part's first moment; nil where it begins with the recording. Of what comes before, only the events are kept that tell of VMs
  /// and their memslots, and what else its replay has to know.
  public var from: Nanoseconds?
  /// The first moment behind the part, at which the recording went on; nil where it ends with the recording.
  public var to: Nanoseconds?

  /// A part that is all of a recording.
  public init() {}

  /// The marker with these settings. Those that are unknown or of another form are left out.
  init(_ settings: [TraceMarker.Setting]) {
    for setting in settings {
      switch setting.key {
      case "from": from = UInt64(setting.value).map(Nanoseconds.init)
      case "to": to = UInt64(setting.value).map(Nanoseconds.init)
      default: break
      }
    }
  }

  /// The line that says this, nil where there is nothing to say.
  public var text: String? {
    let settings: [(String, String?)] = [
      ("from", from.map { String($0.rawValue) }), ("to", to.map { String($0.rawValue) }),
    ]
    let words = settings.compactMap { key, value in value.map { "\(key)=\($0)" } }
    return words.isEmpty ? nil : "\(TraceMarker.prefix)slice " + words.joined(separator: " ")
  }
}

extension TraceFile {
  /// What the trace says of the part of a recording that it is, nil where it says nothing: a slice does so in its first event.
  public var slice: SliceMarker? {
    var first: Nanoseconds?
    var reader = events(.replay(probes: false))
    while let run = reader.nextRun() {
      for position in 0..<run.count {
        // With its stamp there may be events of other CPUs.
        if let first, run[position].time != first { return nil }
        first = run[position].time
        if case .slice(let slice) = run.marker(position) { return slice }
      }
    }
    return nil
  }
}
