public import KVMTypes

/// What a source tells of the events that are not in it: which there can be, and whether some were lost.
public struct SourceAccount: Hashable, Sendable {
  /// The kinds of event that there can be, nil where that is not known. Of a kind that there can be, none need come.
  public var kinds: Set<EventKind>?
  /// Whether those are all that were recorded. Where not, they are those that came: of another kind none was recorded, or none occurred.
  public var listsKinds: Bool
  /// Kinds of event that were recorded without the fields that they are read for, and so are none of those.
  public var kindsWithoutFields: Set<EventKind>
  /// Whether `kvm_userspace_exit` was recorded without its `errno`: what KVM_RUN returned is not known.
  public var lacksErrno: Bool
  /// Why it does not tell where events were lost; nil where it does.
  public var untoldLosses: UntoldLosses?
  /// From when on nothing is certain, because the recording of which the source is a copy is damaged there, or because something is
  /// missing in it nobody knows where; nil where all is told.
  public var uncertainFrom: Nanoseconds?

  /// That of a recorder, which writes where events were lost and which there can be, if that is known.
  public init(
    kinds: Set<EventKind>? = nil, listsKinds: Bool = true, kindsWithoutFields: Set<EventKind> = [],
    lacksErrno: Bool = false, untoldLosses: UntoldLosses? = nil, uncertainFrom: Nanoseconds? = nil
  ) {
    self.kinds = kinds
    self.listsKinds = listsKinds
    self.kindsWithoutFields = kindsWithoutFields
    self.lacksErrno = lacksErrno
    self.untoldLosses = untoldLosses
    self.uncertainFrom = uncertainFrom
  }
}

/// Why a source does not tell where events were lost: that it tells of none means nothing.
public struct UntoldLosses: Hashable, Sendable {
  /// What the reason is. As a copy says it, too.
  public enum Reason: String, Hashable, Sendable {
    /// `perf script` tells of losses with `--show-lost-events` alone.
    case perfScript = "perf-script"
    /// A text has fewer entries than its header tells of, and no line says where they are missing.
    case missingEntries = "missing-entries"
    /// It is not known.
    case unknown
  }

  /// The reason.
  public var reason: Reason
  /// Whether it is that of the recording of which the source is a copy.
  public var isOfCopy: Bool

  /// A source for `reason`, or a copy of one, does not tell of losses.
  public init(_ reason: Reason, isOfCopy: Bool = false) {
    self.reason = reason
    self.isOfCopy = isOfCopy
  }
}
