internal import KVMTypes

/// A VM's slots, and how they are known.
struct VMSlots {
  var table: MemslotTable
  /// The least certain basis of its slots: no operation is more certain than the slots it was predicted with.
  private(set) var basis = Basis.recorded
  /// Whether it had a slot whose host address is not known: which notifiers hit it is not known either.
  private(set) var hasUnplaced = false
  /// What speaks for slots that were inferred.
  var evidence: [Memslot: SlotEvidence] = [:]
  /// Where a slot was changed last: a VM changes one at a time (`kvm->slots_lock`).
  var lastChange = Sequence.start
  /// Whether faults on addresses in no slot came since the last slot was created or moved.
  var hasFaultsOutside = false
  /// Every slot that the VM ever had, in the order of appearance.
  private(set) var history: [Memslot] = []
  private var seen: Set<Memslot> = []
  /// By the first frame of a slot, the epoch in which a commit told of it last.
  private var toldIn: [GFN: Epoch] = [:]

  init(pageSize: PageSize) { table = MemslotTable(pageSize: pageSize) }

  /// A slot comes into force.
  mutating func insert(_ slot: Memslot, in epoch: Epoch) {
    table.insert(slot)
    toldIn[slot.base] = epoch
    basis = max(basis, slot.basis)
    if slot.hva == nil { hasUnplaced = true }
    if seen.insert(slot).inserted { history.append(slot) }
  }

  /// Whether events are missing since a commit told of a slot: another one may be among them.
  func mayLackCommit(of slot: Memslot, in epoch: Epoch) -> Bool {
    epoch.isInGap || toldIn[slot.base] != epoch
  }

  /// The slots that cannot be any more, now that one comes into force: the commit is missing that took them away.
  func contradicted(by new: Memslot) -> [Memslot] {
    guard table.overlaps(new.base, new.pages) || new.id.map(table.contains(id:)) ?? false else { return [] }
    return table.slots.filter { $0.overlaps(new.base, new.pages) || $0.id != nil && $0.id == new.id }
  }
}
