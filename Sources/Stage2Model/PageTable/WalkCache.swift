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

/// The end of the last walk of one page, for the next walk of that page, and the tables of the last level that walks came
/// through, for walks of other pages under them: what TLB and walk cache are to a CPU.
///
/// A fault is walked for several times: whoever replays it brings the entry near and looks what is there, the host looks for a
/// mapping in the way, EL2 checks that nothing is mapped, and maps.
///
/// It lies behind a pointer, because looking changes nothing that anybody could see. Invariants: unless it is `none`, a walk
/// from the PGD would end just at `last`; and it would come to each known table. `TableArena`, which owns it and sees every
/// change of an entry, keeps it so; as all of a page table, it belongs to one thread at a time.
struct WalkCache: ~Copyable {
  private struct Contents {
    var last: WalkEnd
    /// Counts how often all known tables were forgotten.
    var generation: UInt64
  }

  /// A table of the last level.
  private struct KnownTable {
    /// What memory it is for, and the generation.
    var key: UInt64
    var table: UInt32
  }

  private let contents = UnsafeMutablePointer<Contents>.allocate(capacity: 1)
  private let tables = UnsafeMutablePointer<KnownTable>.allocate(capacity: capacity)

  /// So many tables are known at a time, each in the place that its memory has; a power of two.
  private static var capacity: Int { 64 }
  /// The bits of a table's number among all that there could be: 52 of an address less 21 below a table of the last level at
  /// least.
  private static var spanBits: UInt64 { 31 }

  init() {
    contents.initialize(to: Contents(last: .none, generation: 0))
    tables.initialize(repeating: KnownTable(key: .max, table: .max), count: Self.capacity)
  }

  deinit {
    contents.deallocate()
    tables.deallocate()
  }

  /// Where the last walk ended.
  @inline(__always)
  var last: WalkEnd {
    get { contents.pointee.last }
    nonmutating set { contents.pointee.last = newValue }
  }

  /// Whether the last walk was to this page.
  @inline(__always)
  func isLast(_ page: UInt64) -> Bool { contents.pointee.last.page == page }

  /// The entry at which the last walk ended is `value` from now on.
  @inline(__always)
  func setLastEntry(_ value: UInt64) { contents.pointee.last.entry = Stage2Descriptor(rawValue: value) }

  // MARK: Tables

  /// The table of the last level for some memory, nil where it is not known.
  ///
  /// - Parameter span: the number of the memory, counted in tables from address 0.
  @inline(__always)
  func table(of span: UInt64) -> UInt32? {
    let known = tables[Self.place(span)]
    return known.key == key(span) ? known.table : nil
  }

  /// A walk came to a table of the last level.
  @inline(__always)
  func note(_ table: UInt32, of span: UInt64) {
    tables[Self.place(span)] = KnownTable(key: key(span), table: table)
  }

  @inline(__always)
  private static func place(_ span: UInt64) -> Int { Int(truncatingIfNeeded: span) & (capacity &- 1) }

  @inline(__always)
  private func key(_ span: UInt64) -> UInt64 { contents.pointee.generation &<< Self.spanBits | span }

  // MARK: Changes

  /// The entry at `offset` of `table` is `value` from now on. Another table's may be on the way to the end.
  @inline(__always)
  func noteStore(_ value: UInt64, _ table: UInt32, _ offset: Int) {
    guard contents.pointee.last.table == table, contents.pointee.last.level == 3 else { return forgetLast() }
    if contents.pointee.last.offset == offset { setLastEntry(value) }
  }

  @inline(__always)
  private func forgetLast() { contents.pointee.last = .none }

  /// A table is no more where it was: nothing is known any more.
  @inline(never)
  func forget() {
    forgetLast()
    contents.pointee.generation &+= 1
    // Numbers of generations are used again, so no table may keep an old one.
    if contents.pointee.generation >> (64 - Self.spanBits) != 0 {
      contents.pointee.generation = 0
      tables.update(repeating: KnownTable(key: .max, table: .max), count: Self.capacity)
    }
  }
}
