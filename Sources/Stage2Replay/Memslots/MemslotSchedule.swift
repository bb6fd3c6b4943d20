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
      for slot in life.slots { entries += Self.entries(of: slot, vm: vm) }
      if let to = life.to { entries.append(Entry(time: to, vm: vm, step: .end)) }
    }
    // Of what happens at one moment, ends come first: where a slot moves to may overlap where it was.
    self.entries = entries.enumerated().sorted { a, b in
      (a.element.time, a.element.rank, a.offset) < (b.element.time, b.element.rank, b.offset)
    }.map(\.element)
    due = self.entries.first?.time ?? Nanoseconds(.max)
  }

  private static func entries(of life: MemslotHistory.Slot, vm: Int) -> [Entry] {
    if let to = life.to, to <= life.from ?? Nanoseconds(0) { return [] }
    var slot = life.slot
    func update(_ change: MemslotChange, at time: Nanoseconds) -> Entry {
      let isDelete = change == .delete
      let isCreate = change == .create
      return Entry(
        time: time, vm: vm,
        step: .update(
          MemslotUpdate(
            change: change, slot: isDelete ? nil : slot, oldBase: isCreate ? nil : slot.base,
            oldPages: isCreate ? nil : slot.pages, basis: slot.basis)),
        evidence: isCreate ? life.evidence : nil)
    }
    var entries = [update(.create, at: life.from ?? Nanoseconds(0))]
    for change in life.changes {
      slot.flags = change.flags
      entries.append(update(.flagsOnly, at: change.at))
    }
    if let to = life.to { entries.append(update(.delete, at: to)) }
    return entries
  }

  /// Takes the next change, if it is due at `time`.
  mutating func takeNext(upTo time: Nanoseconds) -> Entry? {
    guard due <= time, next < entries.count else { return nil }
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
