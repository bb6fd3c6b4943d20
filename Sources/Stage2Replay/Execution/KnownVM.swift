internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What the execution of a VM knows of it from events, as of the step that is being executed.
struct KnownVM {
  let id: VMIndex
  /// Whether it is a protected guest on the traced host: its pages stay whatever the host unmaps.
  let isProtected: Bool
  /// Whether it had slots before the trace began: not all of them are known.
  let wasRunning: Bool
  /// The epoch in which it appeared, and the one in which everything is known of its table: the same if that was empty
  /// then, else `never`.
  let firstEpoch: Epoch
  let knownFrom: Epoch
  /// The epoch in which all commits of its memslots are known.
  let slotsKnownFrom: Epoch
  private(set) var slots: MemslotTable
  /// The least certain basis of its slots.
  private(set) var slotBasis = Basis.recorded
  /// The most certain basis of its slots and of their removals, nil without any.
  private var strongestBasis: Basis?
  /// The pages of the largest slot so far that the guest can write to.
  private(set) var largestSlot: UInt64 = 0
  /// The lowest level at which a walk of its table stops.
  private(set) var startLevel = TranslationLevel.l3
  /// Removals of slots that have been committed and not applied.
  private(set) var removals: [SlotRemoval] = []
  private(set) var end: VMEnd?

  init(_ vm: AttributedVM, pageSize: PageSize) {
    id = vm.id
    isProtected = vm.identity.isProtected
    wasRunning = vm.identity.wasRunning
    firstEpoch = vm.identity.firstEpoch
    knownFrom = vm.knownFrom
    slotsKnownFrom = vm.identity.slotsKnownFrom
    slots = MemslotTable(pageSize: pageSize)
  }

  /// Takes in what an event told; `regionTouched` is the table's business.
  mutating func learn(_ fact: VMFact) {
    switch fact {
    case .slotInserted(let slot):
      slots.insert(slot)
      slotBasis = max(slotBasis, slot.basis)
      strongestBasis = min(strongestBasis ?? slot.basis, slot.basis)
      if !slot.flags.contains(.readOnly) { largestSlot = max(largestSlot, slot.pages) }
    case .slotRemoved(let base): _ = slots.remove(base: base)
    case .removal(let removal):
      removals.append(removal)
      strongestBasis = min(strongestBasis ?? removal.basis, removal.basis)
    case .startLevel(let level): startLevel = min(startLevel, level)
    case .ended(let end): self.end = end
    case .regionTouched, .unseenFault, .gone: break
    }
  }

  /// How the slot is known that an operation on `gfn` concerns: no operation is more certain. Where a VM was running before the
  /// trace began, events tell some of its slots, and others are assumed.
  @inline(__always)
  func basis(at gfn: GFN) -> Basis {
    strongestBasis ?? slotBasis == slotBasis ? slotBasis : basisAmongSeveral(at: gfn)
  }

  @inline(never)
  private func basisAmongSeveral(at gfn: GFN) -> Basis {
    removals.first { $0.frames.contains(gfn) }?.basis ?? slots.slot(gfn)?.basis ?? slotBasis
  }

  /// The removal of a slot that was committed at `sequence` is applied: those until then are over.
  mutating func takeRemoval(at sequence: Sequence) -> SlotRemoval? {
    guard let removal = removals.first(where: { $0.sequence == sequence }) else { return nil }
    removals.removeAll { $0.sequence <= sequence }
    return removal
  }
}
