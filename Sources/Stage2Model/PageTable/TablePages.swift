public import KVMTypes

/// Where a stage-2 table takes the pages of its tables from, and where freed ones go: the part of
/// `struct kvm_pgtable_mm_ops` that differs between the host and EL2.
///
/// A page table is generic over it, so the choice costs nothing per table. Implementations keep the memory
/// accounting. The PGD is not among these pages.
public protocol TablePages: ~Copyable {
  /// Whether `mm_ops->free_unlinked_table` is set. EL2's guest table has none: it must never collapse
  /// a table into a block.
  static var hasFreeUnlinkedTable: Bool { get }

  /// Whether the caller of the operation passed a memory cache at all (`data->memcache`).
  var hasMemcache: Bool { get }

  /// Spare pages of the cache (`mc->nobjs`), which `split` asks for before it begins.
  var sparePages: Int { get }

  /// `mm_ops->zalloc_page`: takes a page for a table of `level`; false where none is left.
  mutating func takePage(level: TranslationLevel) -> Bool

  /// The last reference to a table of `level` is gone (`mm_ops->put_page`).
  mutating func freePage(level: TranslationLevel)
}
