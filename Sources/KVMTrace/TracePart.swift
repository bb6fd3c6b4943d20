public import KVMTypes

/// Which part of a trace counts: what `--from` and `--to` choose, of a recording or of a part that was cut out of one.
public struct TracePart: Hashable, Sendable {
  /// The first moment that is in it; nil where it begins with the first event.
  public let from: Nanoseconds?
  /// The first moment behind it; nil where it ends with the last event.
  public let to: Nanoseconds?
  /// What the trace says of the part of a recording that it is, nil for a whole one.
  public let slice: SliceMarker?

  /// The part between two moments.
  public init(from: Nanoseconds? = nil, to: Nanoseconds? = nil, of slice: SliceMarker? = nil) {
    self.from = [from, slice?.from].compactMap(\.self).max()
    self.to = [to, slice?.to].compactMap(\.self).min()
    self.slice = slice
  }

  /// What of it lies in a part that was cut out of a recording.
  public func of(_ slice: SliceMarker?) -> TracePart { TracePart(from: from, to: to, of: slice) }

  /// Whether it is all of a trace.
  public var isWhole: Bool { from == nil && to == nil }

  /// The time of it, in a trace that has events from `first` to `last`.
  public func span(first: Nanoseconds, last: Nanoseconds) -> Range<UInt64> {
    let begin = max(first, from ?? first)
    // The recording went on there, whether anything happened by then or not.
    let last = max(last, slice?.to ?? last)
    return begin.rawValue..<max(begin, min(last, to ?? last)).rawValue
  }

  /// The time of it, in a trace of which a pass counted `statistics`.
  public func span(_ statistics: EventStatistics) -> Range<UInt64> {
    let first = statistics.first ?? Nanoseconds(0)
    return span(first: first, last: statistics.last ?? first)
  }
}
