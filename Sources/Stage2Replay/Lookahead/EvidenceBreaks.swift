internal import KVMTypes

/// Where stretches of the merged trace begin or end in which events are missing.
///
/// What comes behind such a place is no proof of what was before it: an event that took a mapping away may be among those that are
/// missing.
struct EvidenceBreaks {
  /// So many are kept. Of older ones it is known where the last of them was, and nothing before that is proven.
  private static let most = 1 << 13

  /// In the order of the trace.
  private var places: [Sequence] = []
  private var lastForgotten = Sequence.start

  /// Events are missing from here on, or are missing no more.
  mutating func note(_ place: Sequence) {
    if places.count == Self.most {
      lastForgotten = places[Self.most / 2 - 1]
      places.removeFirst(Self.most / 2)
    }
    places.append(place)
  }

  /// The first one behind a place, which itself stands for one that is forgotten; `pending` where there is none.
  func first(after place: Sequence) -> Sequence {
    if place < lastForgotten { return place }
    guard let last = places.last, last > place else { return .pending }
    return places[places.partitioningIndex { $0 > place }]
  }

  /// Whether there is one between two places.
  func liesBetween(_ begin: Sequence, _ end: Sequence) -> Bool { first(after: begin) < end }
}
