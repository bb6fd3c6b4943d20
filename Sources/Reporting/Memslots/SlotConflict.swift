internal import KVMTrace
internal import KVMTypes
internal import Stage2Replay

/// Finds slots of a VM that no kernel has at one time.
///
/// A file may have hundreds of thousands of slots, which come and go, so nothing here compares each with each.
enum SlotConflict {
  /// Two slots that have a frame in common while both are there.
  ///
  /// Until such a pair comes, the slots that are there at one moment lie side by side: a new one can only overlap that which
  /// begins next below it or next above.
  static func ofFrames(_ slots: [MemslotHistory.Slot]) -> (Int, Int)? {
    let byBase = slots.indices.sorted { (slots[$0].slot.base, $0) < (slots[$1].slot.base, $1) }
    var ranks = [Int](repeating: 0, count: slots.count)
    for (rank, index) in byBase.enumerated() { ranks[index] = rank }
    var present = PositionSet(limit: slots.count)
    for event in events(slots) {
      let (index, rank) = (event.slot, ranks[event.slot])
      guard event.isBegin else {
        present.remove(rank)
        continue
      }
      let new = slots[index].slot
      if let below = present.last(below: rank).map({ byBase[$0] }) {
        let other = slots[below].slot
        if other.base + other.pages > new.base { return (index, below) }
      }
      if let above = present.first(above: rank).map({ byBase[$0] }),
        slots[above].slot.base < new.base + new.pages
      {
        return (index, above)
      }
      present.insert(rank)
    }
    return nil
  }

  /// Two slots that have one number while both are there.
  static func ofNumbers(_ slots: [MemslotHistory.Slot]) -> (Int, Int)? {
    var present: [Int16: Int] = [:]
    for event in events(slots) {
      guard let id = slots[event.slot].slot.id else { continue }
      if !event.isBegin {
        present[id] = nil
      } else if let other = present.updateValue(event.slot, forKey: id) {
        return (event.slot, other)
      }
    }
    return nil
  }

  /// `KVM_USER_MEM_SLOTS` of arm64.
  static let slotsMax = 32_767

  /// The slot that comes while `limit` others are there.
  static func firstBeyond(_ limit: Int, _ slots: [MemslotHistory.Slot]) -> Int? {
    guard slots.count > limit else { return nil }
    var present = 0
    for event in events(slots) {
      present += event.isBegin ? 1 : -1
      if present > limit { return event.slot }
    }
    return nil
  }

  private struct Event {
    let time: Nanoseconds
    let place: Int
    let isBegin: Bool
    let slot: Int
  }

  /// The begins and ends of slots in the order of time; of one moment the ends come first. A slot that ends as it begins is never there.
  private static func events(_ slots: [MemslotHistory.Slot]) -> [Event] {
    var events: [Event] = []
    events.reserveCapacity(2 * slots.count)
    for (index, life) in slots.enumerated() {
      let begin = life.begin
      if let end = life.end {
        guard begin < end else { continue }
        events.append(Event(time: end.0, place: end.1, isBegin: false, slot: index))
      }
      events.append(Event(time: begin.0, place: begin.1, isBegin: true, slot: index))
    }
    return events.sorted {
      ($0.time, $0.place, $0.isBegin ? 1 : 0, $0.slot) < ($1.time, $1.place, $1.isBegin ? 1 : 0, $1.slot)
    }
  }
}
