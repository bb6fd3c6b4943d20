import KVMTypes

/// What the model of one VM takes of this program's own memory, in bytes.
///
/// Not to be mixed up with `MemoryAccounting`, which says what the kernel would take.
package struct ModelBytes: Hashable, Sendable {
  /// The page table that the CPU uses: the host's, or EL2's of the guest.
  package var tables = 0
  /// The host's tree of mappings, in the kernel's shape.
  package var mappingTree = 0
  /// What EL2 knows of the machine's pages, other VMs' included.
  package var hypPages = 0
  /// All that does not grow with the mappings: accounting, counters, caches.
  package var other = 0

  /// Everything.
  package var total: Int { tables + mappingTree + hypPages + other }
}

extension TraditionalStage2 {
  /// What this model takes.
  package var modelBytes: ModelBytes {
    ModelBytes(tables: table.arena.byteCount, other: MemoryLayout<Self>.size)
  }
}

extension PKVMStage2 {
  /// What this model takes.
  package var modelBytes: ModelBytes {
    ModelBytes(
      tables: hyp.table.arena.byteCount, mappingTree: mappings.byteCount,
      hypPages: hyp.vmemmap.byteCount, other: MemoryLayout<Self>.size)
  }
}
