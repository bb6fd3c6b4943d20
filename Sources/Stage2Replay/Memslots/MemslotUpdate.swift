internal import KVMTrace
internal import KVMTypes

/// A change of a VM's memslots, wherever it is known from.
struct MemslotUpdate {
  var change: MemslotChange
  /// The slot after the change, nil for a deletion.
  var slot: Memslot?
  /// The first frame and the pages before the change, nil for a creation.
  var oldBase: GFN?
  var oldPages: UInt64?
  /// How the change is known.
  let basis: Basis

  init(change: MemslotChange, slot: Memslot?, oldBase: GFN?, oldPages: UInt64?, basis: Basis) {
    self.change = change
    self.basis = basis
    self.slot = slot
    self.oldBase = oldBase
    self.oldPages = oldPages
  }

  /// What a probe on `kvm_arch_commit_memory_region` recorded, nil where a damaged event says what cannot be.
  init?(_ commit: MemslotCommit, _ pageSize: PageSize) {
    let slot = Memslot(
      id: commit.id, base: commit.base, pages: commit.pages, hva: commit.hva, flags: commit.flags,
      basis: .recorded)
    guard commit.change != .unknown, slot.isPossible(pageSize) else { return nil }
    self.init(
      change: commit.change, slot: commit.change == .delete ? nil : slot, oldBase: commit.oldBase,
      oldPages: commit.oldPages, basis: .recorded)
  }

  /// Whether the change cannot concern the VM that has `slots`. The kernel never creates a slot over another one, or
  /// under a number in use; so the address of `struct kvm` belongs to a new VM by now.
  func contradicts(_ slots: MemslotTable) -> Bool {
    guard change == .create, let slot else { return false }
    return slots.overlaps(slot.base, slot.pages) || slot.id.map(slots.contains(id:)) ?? false
  }
}
