/// Which events a reader wants to see. The others are counted all the same.
public struct EventSelection: Sendable {
  /// Whether events without an `EventKind` of their own are delivered.
  public var includesOther: Bool
  /// Whether the probes on the kernel's own stage-2 operations are delivered.
  public var includesOperationProbes: Bool
  /// Where a source that has to read and decode may do so, ahead of whoever takes the events in; nil on the thread of the caller.
  /// The runs are the same and come on that thread all the same, but the raw data of their events is empty; markers are found.
  public var reader: WorkerThread?
  /// Whether a run may have events of several CPUs, none of which has data then: fewer runs come. Of damage it is told by runs of one
  /// CPU all the same. A hint, too.
  public var mixesCPUs = false
  /// Whether no further pass of this call of `EventSource.withSeveralPasses` is meant to follow. That is a hint: a source still
  /// delivers all if one does, as one may of a call that this one lies in.
  public var isLast = false

  /// Every event of the trace.
  public static let all = EventSelection(includesOther: true, includesOperationProbes: true)
  /// What a replay needs, with the operation probes or without, read ahead on a thread or not.
  public static func replay(probes: Bool, reader: WorkerThread? = nil) -> EventSelection {
    EventSelection(includesOther: false, includesOperationProbes: probes, reader: reader)
  }

  /// Whether events of `kind` are wanted. A source delivers no others.
  public func includes(_ kind: EventKind) -> Bool {
    if kind == .other { return includesOther }
    return includesOperationProbes || !kind.isOperationProbe
  }
}
