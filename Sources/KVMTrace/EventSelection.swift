/// Which events a reader wants to see. The others are counted all the same.
public struct EventSelection: Sendable {
  /// Whether events without an `EventKind` of their own are delivered.
  public var includesOther: Bool
  /// Whether the probes on the kernel's own stage-2 operations are delivered.
  public var includesOperationProbes: Bool
  /// Whether a source that has to read and decode may do so on a second thread, ahead of whoever takes the events in. The runs are
  /// the same and come on the thread of the caller, but the raw data of their events is empty; markers are found.
  public var readsAhead = false
  /// Whether this is the last of several passes, see `EventSource.withSeveralPasses`.
  public var isLast = false

  /// Every event of the trace.
  public static let all = EventSelection(includesOther: true, includesOperationProbes: true)
  /// What a replay needs, with the operation probes or without, read ahead or not.
  public static func replay(probes: Bool, readsAhead: Bool = false) -> EventSelection {
    EventSelection(includesOther: false, includesOperationProbes: probes, readsAhead: readsAhead)
  }

  /// Whether events of `kind` are wanted. A source delivers no others.
  public func includes(_ kind: EventKind) -> Bool {
    if kind == .other { return includesOther }
    return includesOperationProbes || !kind.isOperationProbe
  }
}
