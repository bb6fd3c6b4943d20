/// Which events a reader wants to see. The others are counted all the same.
public struct EventSelection: Sendable {
  /// Whether events without an `EventKind` of their own are delivered.
  public var includesOther: Bool
  /// Whether the probes on the kernel's own stage-2 operations are delivered.
  public var includesOperationProbes: Bool

  /// Every event of the trace.
  public static let all = EventSelection(includesOther: true, includesOperationProbes: true)
  /// What a replay needs, with the operation probes or without.
  public static func replay(probes: Bool) -> EventSelection {
    EventSelection(includesOther: false, includesOperationProbes: probes)
  }

  func includes(_ kind: EventKind) -> Bool {
    if kind == .other { return includesOther }
    return includesOperationProbes || !kind.isOperationProbe
  }
}
