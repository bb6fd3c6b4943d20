internal import KVMTypes

/// The states that something went through. Changes take time, so at a moment of a change both states are possible.
struct StateTimeline<State> {
  private struct Entry {
    var from: Position
    var to: Position
    var state: State
  }

  private let initial: State
  private var entries: [Entry] = []

  init(_ initial: State) { self.initial = initial }

  /// The state after the last change.
  var last: State { entries.last?.state ?? initial }

  mutating func append(_ state: State, from: Position, to: Position) {
    entries.append(Entry(from: from, to: to, state: state))
  }

  /// The stretches of `window` in which the state may have satisfied `condition`.
  func stretches(
    in window: ClosedRange<Position>, where condition: (State) -> Bool
  ) -> [ClosedRange<Position>] {
    var found: [ClosedRange<Position>] = []
    func add(_ state: State, _ begin: Position, _ end: Position) {
      let (first, last) = (max(begin, window.lowerBound), min(end, window.upperBound))
      if first <= last, condition(state) { found.append(first...last) }
    }
    // The entry whose state holds when the window begins is the first that matters.
    let first = entries.partitioningIndex { $0.to >= window.lowerBound } - 1
    if first < 0 { add(initial, .min, entries.first?.to ?? .max) }
    for index in max(first, 0)..<max(entries.count, max(first, 0)) {
      if entries[index].from > window.upperBound { break }
      add(entries[index].state, entries[index].from, index + 1 < entries.count ? entries[index + 1].to : .max)
    }
    return found
  }

  /// The states before a moment, the latest first, while `condition` holds.
  func statesBackwards(from position: Position, while condition: (State) -> Bool) -> [State] {
    var states: [State] = []
    for entry in entries.reversed() where entry.from <= position {
      guard condition(entry.state) else { return states }
      states.append(entry.state)
    }
    return states
  }
}

/// The stretches that lie in both lists.
func intersection(
  _ a: [ClosedRange<Position>], _ b: [ClosedRange<Position>]
) -> [ClosedRange<Position>] {
  a.flatMap { a in b.filter(a.overlaps).map(a.clamped(to:)) }
}
