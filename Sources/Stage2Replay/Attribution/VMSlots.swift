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

  init(pageSize: PageSize) { table = MemslotTable(pageSize: pageSize) }

  /// A slot comes into force.
  mutating func insert(_ slot: Memslot) {
    table.insert(slot)
    basis = max(basis, slot.basis)
    if slot.hva == nil { hasUnplaced = true }
    if seen.insert(slot).inserted { history.append(slot) }
  }
}
