internal import KVMTrace
internal import KVMTypes

/// The changes of a `MemslotHistory`, in the order of time.
struct MemslotSchedule {
  enum Step {
    case update(MemslotUpdate)
    /// The VM is gone.
    case end
  }

  struct Entry {
    var time: Nanoseconds
    /// Who makes the change, and where among the events of its moment.
    var origin = MemslotHistory.ChangeOrigin()
    /// The VM's position in the history.
    var vm: Int
    var step: Step
    /// What speaks for the slot that appears.
    var evidence: SlotEvidence?
  }

  let history: MemslotHistory
  private let entries: [Entry]
  private var next = 0
  /// When the next change is due; the highest moment where none is left.
  private(set) var due: Nanoseconds

  init(_ history: MemslotHistory) {
    self.history = history
    var entries: [Entry] = []
    for (vm, life) in history.vms.enumerated() {
      let moves = Moves(life.slots)
      for (position, slot) in life.slots.enumerated() {
        entries += Self.entries(
          of: slot, vm: vm, from: moves.origins[position].map { life.slots[$0].slot },
          movesAway: moves.leaving.contains(position))
      }
      if let to = life.to { entries.append(Entry(time: to, vm: vm, step: .end)) }
    }
    // Of what happens at one moment, ends come first: where a slot moves to may overlap where it was.
    self.entries = entries.enumerated().sorted { a, b in
      (a.element.time, a.element.origin.place, a.element.rank, a.offset)
        < (b.element.time, b.element.origin.place, b.element.rank, b.offset)
    }.map(\.element)
    due = self.entries.first?.time ?? Nanoseconds(.max)
  }

  /// The changes of a slot.
  ///
  /// - Parameters:
  ///   - old: the slot that it was before it moved here, nil for one that is created.
  ///   - movesAway: whether the end of its life is a move, which is a change of the slot that it becomes.
  private static func entries(
    of life: MemslotHistory.Slot, vm: Int, from old: Memslot?, movesAway: Bool
  ) -> [Entry] {
    if life.isNever { return [] }
    var slot = life.slot
    func update(
      _ change: MemslotChange, _ before: Memslot?, at time: Nanoseconds,
      _ origin: MemslotHistory.ChangeOrigin
    ) -> Entry {
      Entry(
        time: time, origin: origin, vm: vm,
        step: .update(
          MemslotUpdate(
            change: change, slot: change == .delete ? nil : slot, oldBase: before?.base,
            oldPages: before?.pages, basis: slot.basis)),
        evidence: change == .create || change == .move ? life.evidence : nil)
    }
    let begin = life.from ?? Nanoseconds(0)
    var entries = [update(old == nil ? .create : .move, old, at: begin, life.fromOrigin)]
    for change in life.changes {
      slot.flags = change.flags
      entries.append(update(.flagsOnly, slot, at: change.at, change.origin))
    }
    if let to = life.to, !movesAway { entries.append(update(.delete, slot, at: to, life.toOrigin)) }
    return entries
  }

  /// Takes the next change, if it is due at `time`, behind so many other events of that moment.
  mutating func takeNext(upTo time: Nanoseconds, place: Int) -> Entry? {
    guard due <= time, next < entries.count else { return nil }
    if entries[next].time == time, entries[next].origin.place > place { return nil }
    defer {
      next += 1
      due = next < entries.count ? entries[next].time : Nanoseconds(.max)
    }
    return entries[next]
  }
}

extension MemslotSchedule.Entry {
  fileprivate var rank: Int {
    switch step {
    case .end: 0
    case .update(let update): update.change == .delete ? 1 : 2
    }
  }
}

extension MemslotHistory.Slot {
  /// Whether it ends before it begins.
  fileprivate var isNever: Bool {
    guard let to else { return false }
    guard let from else { return to == Nanoseconds(0) }
    return (to, toOrigin.place) <= (from, fromOrigin.place)
  }
}

/// Which slots of a VM are others that moved: one ends where another one of its number and of its memory begins, by one change.
private struct Moves {
  /// By position of a slot, that of the slot that it was before.
  private(set) var origins: [Int: Int] = [:]
  /// The slots that become others.
  private(set) var leaving: Set<Int> = []

  private struct Key: Hashable {
    let id: Int16
    let hva: HVA
    let pages: UInt64
    let time: Nanoseconds
    let origin: MemslotHistory.ChangeOrigin
  }

  init(_ slots: [MemslotHistory.Slot]) {
    func key(
      _ slot: Memslot, _ time: Nanoseconds?, _ origin: MemslotHistory.ChangeOrigin
    ) -> Key? {
      guard let id = slot.id, let hva = slot.hva, let time else { return nil }
      return Key(id: id, hva: hva, pages: slot.pages, time: time, origin: origin)
    }
    var ending: [Key: Int] = [:]
    for (position, life) in slots.enumerated() where !life.isNever {
      if let key = key(life.slot, life.to, life.toOrigin) { ending[key] = position }
    }
    for (position, life) in slots.enumerated() where !life.isNever {
      guard let key = key(life.slot, life.from, life.fromOrigin), let old = ending[key] else { continue }
      origins[position] = old
      leaving.insert(old)
    }
  }
}
