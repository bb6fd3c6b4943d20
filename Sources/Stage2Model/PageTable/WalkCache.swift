/// Where a walk of one page ended: at the first entry that is not a table.
struct WalkEnd {
  /// The page that was walked to, counted from address 0.
  var page: UInt64
  /// The table that holds the entry.
  var table: UInt32
  /// The entry's level.
  var level: Int32
  /// The entry's offset in its table.
  var offset: Int
  /// Where the entry is in a table that keeps only what is not empty, or would be: a guess, and checked as one.
  var position: Int
  /// The entry itself.
  var entry: Stage2Descriptor

  /// No walk: no address reaches this page.
  static var none: WalkEnd {
    WalkEnd(page: .max, table: .max, level: -1, offset: 0, position: 0, entry: .zero)
  }
}

/// The end of the last walk of one page, for the next walk of that page, or of another one under the same table: what walk
/// cache and TLB are to a CPU.
///
/// A fault is walked for several times: whoever replays it looks what is there, the host looks for a mapping in the way,
/// EL2 checks that nothing is mapped, and maps.
///
/// It lies behind a pointer, because looking changes nothing that anybody could see. Invariant: unless it is
/// `none`, a walk from the PGD would end just there. `TableArena`, which owns it and sees every change of an entry,
/// keeps it so; as all of a page table, it belongs to one thread at a time.
struct WalkCache: ~Copyable {
  private let end = UnsafeMutablePointer<WalkEnd>.allocate(capacity: 1)

  init() { end.initialize(to: .none) }

  deinit { end.deallocate() }

  /// Where the last walk ended.
  @inline(__always)
  var last: WalkEnd {
    get { end.pointee }
    nonmutating set { end.pointee = newValue }
  }

  /// The entry at `offset` of `table` is `value` from now on. Another table's may be on the way to the end.
  @inline(__always)
  func noteStore(_ value: UInt64, _ table: UInt32, _ offset: Int) {
    guard end.pointee.table == table, end.pointee.level == 3 else { return forget() }
    if end.pointee.offset == offset { end.pointee.entry = Stage2Descriptor(rawValue: value) }
  }

  /// Nothing is known any more.
  @inline(__always)
  func forget() { end.pointee = .none }
}
