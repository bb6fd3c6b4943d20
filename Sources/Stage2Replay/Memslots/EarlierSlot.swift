internal import KVMTrace
internal import KVMTypes

extension MemslotUpdate {
  /// The slot as it was before a change of it, as far as the change tells: where a trace begins in the middle of a VM's
  /// life, the slot was there until then, and nothing else tells of it. Nil for a creation.
  ///
  /// `kvm_set_memory_region` refuses to give a slot another size, another host address or to make it read-only, so what a
  /// change of flags says of all that held before, too; and what changes is the only other flag that arm64 has for such
  /// a slot. A move may change that flag by the way, and who deletes a slot says no more than where it was.
  var earlierSlot: Memslot? {
    guard let oldBase, let oldPages else { return nil }
    switch (change, slot) {
    case (.flagsOnly, var slot?):
      slot.flags.formSymmetricDifference(.logDirtyPages)
      return slot
    case (.move, var slot?) where slot.pages == oldPages:
      slot.base = oldBase
      slot.basis = .assumed
      return slot
    case (.delete, _):
      return Memslot(id: nil, base: oldBase, pages: oldPages, hva: nil, flags: [], basis: .assumed)
    default: return nil
    }
  }
}
