public import KVMTrace
internal import KVMTypes

/// The markers of a trace: the part that needs no model.
public struct MarkerCensus: Sendable {
  /// How the recording was made, by the first marker that says so.
  public private(set) var settings: [TraceMarker.Setting] = []
  /// The quiet points at which the host's memory was counted, in the order of time.
  public private(set) var points: [String] = []

  /// What the trace says of the part of a recording that it is, in its first event; nil where it says nothing.
  public private(set) var slice: SliceMarker?
  private var first: Nanoseconds?

  /// No marker yet.
  public init() {}

  /// Takes in consecutive events of one CPU.
  public mutating func consume(_ run: EventRun) {
    let records = run.records
    let first = self.first ?? run[0].time
    self.first = first
    for position in records.indices where records[position].kind == .marker {
      let marker = run.marker(position)
      switch marker {
      case .memory(let marker): points.append(marker.point)
      case .lab(let settings): if self.settings.isEmpty { self.settings = settings }
      case .slice: slice = slice ?? SliceMarker(marker, at: records[position].time, first: first)
      case .quiet, .threads, nil: break
      }
    }
  }
}
