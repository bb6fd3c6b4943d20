internal import KVMTypes

/// When faults may have been under way that were not seen: they began before what is replayed, or where events are missing.
///
/// It is known when such a fault was over at the latest, and that before what waits is executed: what was over before it can have
/// begun is not concerned.
struct UnseenFaults {
  private struct Span {
    var since: Sequence
    var until: Sequence
  }

  /// So many are kept apart.
  private static let most = 32
  /// In the order of time; no two of them overlap.
  private var spans: [Span] = []
  /// Where the last of them was over.
  private var last = Sequence.start

  /// A thread may have been in a fault between two places.
  mutating func note(since: Sequence, until: Sequence) {
    var span = Span(since: since, until: until)
    while let before = spans.last, span.since <= before.until || spans.count == Self.most {
      span.since = min(span.since, before.since)
      spans.removeLast()
    }
    spans.append(span)
    last = until
  }

  /// Whether one of them may have changed the table while the vCPU of a fault walked it.
  @inline(__always)
  func mayRival(_ fault: SettledFault) -> Bool { fault.evidence.entry < last && isAmong(fault) }

  @inline(never)
  private func isAmong(_ fault: SettledFault) -> Bool {
    spans.contains { fault.evidence.entry < $0.until && fault.end >= $0.since }
  }
}
