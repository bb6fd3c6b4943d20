internal import CMemoryHints

/// The translation tables of one stage-2 table, addressed by 32-bit indices that stay what they are.
///
/// The kernel's table is a page of 512, 2,048 or 8,192 descriptors of 8 bytes. A guest that touches its memory here
/// and there has a table for every few pages, so a table of the last level keeps only what is not empty (`SparseTable`).
/// Where more than an eighth is not, and above the last level, a table is a plain array. Either has words of 32 bits,
/// or of 64 once a descriptor does not fit into 32 (`TableWord`). With that, a mapping takes 4 bytes where memory is
/// filled, and 16 where three pages of each table are mapped, at random.
///
/// This file, `SparseTable` and `TableMemory` are what touches raw memory in the page table. Invariants:
/// - Every index that leaves `allocate` is below `used` for as long as the arena lives.
/// - The address of a record whose count is not 0 names memory of the size of its form, and belongs to no other.
/// - An offset within a table is masked to the table's size.
struct TableArena: ~Copyable {
  /// What is known of a table without looking at its descriptors.
  private struct Record {
    /// Where the descriptors are. Of a free table: the next free one.
    var address: UInt
    /// 0 while the table is free, else 1 + its nonzero descriptors (`page_count`), 8,193 at most.
    var count: UInt16
    /// The descriptors that a sparse table holds.
    var entries: UInt16
    /// The descriptors that a sparse table has room for.
    var capacity: UInt16
    var form: Form

    init(address: UInt, count: UInt16, entries: UInt16, form: Form) {
      self.address = address
      self.count = count
      self.entries = entries
      self.form = form
      capacity = form.isSparse ? UInt16(form.capacity) : 0
    }
  }

  /// How a table is stored: bit 0 tells wide words, the rest is 0 for an array and else says for how many
  /// descriptors a sparse table has room.
  private struct Form: Equatable {
    var rawValue: UInt8

    /// An array of narrow words, which most tables are.
    @inline(__always) static var array: Form { Form(rawValue: 0) }
    /// The smallest sparse table.
    @inline(__always) static var smallest: Form { Form(rawValue: 2) }

    @inline(__always) var isWide: Bool { rawValue & 1 != 0 }
    @inline(__always) var isSparse: Bool { rawValue > 1 }
    var widened: Form { Form(rawValue: rawValue | 1) }
    /// The sparse form with more room.
    var larger: Form { Form(rawValue: rawValue + 2) }
    /// The array that takes the place of the sparse form.
    var asArray: Form { Form(rawValue: rawValue & 1) }

    /// The room of a sparse form: 2, 4, 6, 8, 12, 16, 24, 32 and so on.
    var capacity: Int {
      let step = Int(rawValue &>> 1) - 1
      return step == 0 ? 2 : step & 1 == 1 ? 4 &<< (step &>> 1) : 3 &<< (step &>> 1)
    }
  }

  /// log2 of the descriptors of a table.
  private let tableShift: Int
  private var memory = TableMemory()
  private var records: UnsafeMutablePointer<Record>
  private var capacity = 4
  /// Where the last walk of one page ended.
  private let cache = WalkCache()
  /// Tables handed out at least once.
  private var used: UInt32 = 0
  /// The first free table.
  private var freeHead: UInt32 = .max
  /// Tables on the free list.
  private var freeCount: UInt32 = 0

  /// An arena of tables with `1 << bitsPerLevel` descriptors.
  init(bitsPerLevel: UInt64) {
    tableShift = Int(bitsPerLevel)
    records = .allocate(capacity: capacity)
  }

  deinit { records.deallocate() }

  /// Tables in use.
  var liveTables: Int { Int(used - freeCount) }

  /// Bytes that the arena took from the system.
  @inline(__always)
  var byteCount: Int { memory.byteCount + capacity * MemoryLayout<Record>.stride }

  /// The descriptors of a table.
  @inline(__always)
  private var descriptors: Int { 1 &<< tableShift }

  @inline(__always)
  private static func array<Word: TableWord>(_ record: Record, of _: Word.Type) -> UnsafeMutablePointer<Word>
  {
    UnsafeMutablePointer(bitPattern: record.address).unsafelyUnwrapped
  }

  @inline(__always)
  private static func sparse<Word: TableWord>(_ record: Record, of _: Word.Type) -> SparseTable<Word> {
    SparseTable(at: record.address, capacity: Int(record.capacity))
  }

  // MARK: Descriptors

  /// The descriptor at `offset` of `table`.
  @inline(__always)
  func load(_ table: UInt32, _ offset: Int) -> UInt64 {
    assert(isLive(table), "no such table")
    let record = records[Int(table)]
    let offset = offset & (descriptors &- 1)
    if record.form == .array { return Self.array(record, of: NarrowWord.self)[offset].descriptor }
    return record.form.isWide
      ? Self.load(record, offset, of: WideWord.self) : Self.load(record, offset, of: NarrowWord.self)
  }

  @inline(__always)
  private static func load<Word: TableWord>(_ record: Record, _ offset: Int, of word: Word.Type) -> UInt64 {
    record.form.isSparse
      ? find(record, offset, of: word).value : array(record, of: word)[offset].descriptor
  }

  /// The descriptor at `offset` of a sparse table, and the position at which it is, or would be.
  @inline(__always)
  private static func find<Word: TableWord>(
    _ record: Record, _ offset: Int, of word: Word.Type
  ) -> (value: UInt64, position: Int) {
    let entries = sparse(record, of: word)
    let count = Int(record.entries)
    let position = entries.position(of: offset, count: count)
    guard position < count, entries.offset(position) == offset else { return (0, position) }
    return (entries[position].descriptor, position)
  }

  /// The table that the entry at `offset` of `table`, one above the last level, points to; nil for any other entry.
  @inline(__always)
  func child(_ table: UInt32, _ offset: Int) -> UInt32? {
    assert(isLive(table), "no such table")
    return Self.child(records[Int(table)], offset & (descriptors &- 1))
  }

  @inline(__always)
  private static func child(_ record: Record, _ offset: Int) -> UInt32? {
    assert(record.count != 0, "no such table")
    if record.form == .array { return array(record, of: NarrowWord.self)[offset].table }
    return array(record, of: WideWord.self)[offset].table
  }

  /// Stores a descriptor without touching the table's count.
  @inline(__always)
  mutating func store(_ value: UInt64, _ table: UInt32, _ offset: Int) {
    assert(isLive(table), "no such table")
    let record = records[Int(table)]
    let offset = offset & (descriptors &- 1)
    cache.noteStore(value, table, offset)
    if record.form == .array, let word = NarrowWord(value) {
      let entry = Self.array(record, of: NarrowWord.self) + offset
      if entry.pointee.table != nil { cache.forget() }
      entry.pointee = word
    } else if !record.form.isWide, let word = NarrowWord(value) {
      store(word, table, offset)
    } else {
      storeWide(value, table, offset)
    }
  }

  @inline(never)
  private mutating func storeWide(_ value: UInt64, _ table: UInt32, _ offset: Int) {
    if Stage2Descriptor(rawValue: load(table, offset)).isPlainTable { cache.forget() }
    if !records[Int(table)].form.isWide { widen(table) }
    store(WideWord(value)!, table, offset)
  }

  private mutating func store<Word: TableWord>(_ word: Word, _ table: UInt32, _ offset: Int) {
    let record = records[Int(table)]
    guard record.form.isSparse else {
      Self.array(record, of: Word.self)[offset] = word
      return
    }
    let entries = Self.sparse(record, of: Word.self)
    let count = Int(record.entries)
    let guess = cache.last.position
    let position =
      entries.isPosition(guess, of: offset, count: count)
      ? guess : entries.position(of: offset, count: count)
    if position < count, entries.offset(position) == offset {
      if !word.isEmpty {
        entries[position] = word
      } else {
        entries.remove(at: position, count: count)
        records[Int(table)].entries = UInt16(truncatingIfNeeded: count &- 1)
      }
    } else if !word.isEmpty {
      var room = entries
      if count == Int(record.capacity) {
        grow(table, of: Word.self)
        let larger = records[Int(table)]
        guard larger.form.isSparse else {
          Self.array(larger, of: Word.self)[offset] = word
          return
        }
        room = Self.sparse(larger, of: Word.self)
      }
      room.insert(word, offset: offset, at: position, count: count)
      records[Int(table)].entries = UInt16(truncatingIfNeeded: count &+ 1)
    }
  }

  /// The first offset from `offset` on, and below `limit`, whose descriptor is not empty; `limit` where none is.
  func nextNonzero(_ table: UInt32, from offset: Int, below limit: Int) -> Int {
    assert(isLive(table), "no such table")
    let record = records[Int(table)]
    let limit = min(limit, descriptors)
    return record.form.isWide
      ? Self.nextNonzero(record, offset, limit, of: WideWord.self)
      : Self.nextNonzero(record, offset, limit, of: NarrowWord.self)
  }

  private static func nextNonzero<Word: TableWord>(
    _ record: Record, _ offset: Int, _ limit: Int, of word: Word.Type
  ) -> Int {
    var offset = offset
    if record.form.isSparse {
      let table = sparse(record, of: word)
      let position = table.position(of: offset, count: Int(record.entries))
      return position < Int(record.entries) ? min(table.offset(position), limit) : limit
    }
    let words = array(record, of: word)
    while offset < limit, words[offset].isEmpty { offset &+= 1 }
    return offset
  }

  /// The nonzero descriptors of `table` with their offsets, ascending: for inspection, not for walks.
  func nonzeroDescriptors(_ table: UInt32) -> [(offset: Int, value: UInt64)] {
    var found: [(offset: Int, value: UInt64)] = []
    var offset = nextNonzero(table, from: 0, below: descriptors)
    while offset < descriptors {
      found.append((offset, load(table, offset)))
      offset = nextNonzero(table, from: offset + 1, below: descriptors)
    }
    return found
  }

  // MARK: Walks

  /// The end of the walk of `page` from `pgd` on, the first of the tables of `startLevel`.
  @inline(__always)
  func walk(_ page: UInt64, from pgd: UInt32, _ startLevel: Int) -> WalkEnd {
    if !cache.isLast(page) {
      Self.descend(to: page, from: pgd, startLevel, cache, records, UInt64(truncatingIfNeeded: tableShift))
    }
    assert(isCurrent(cache.last, from: pgd, startLevel), "the end of the last walk is another now")
    return cache.last
  }

  /// Whether a walk that begins at the PGD ends where `end` says.
  private func isCurrent(_ end: WalkEnd, from pgd: UInt32, _ startLevel: Int) -> Bool {
    let last = Self.lastTable(on: end.page, from: pgd, startLevel, records, UInt64(tableShift))
    let offset = Int(end.page >> last.shift) & (descriptors - 1)
    return last.table == end.table && last.level == Int(end.level) && offset == end.offset
      && load(last.table, offset) == end.entry.rawValue
  }

  /// Goes down to the first entry for `page` that is not a table, and leaves the end in `cache`. A walk to a table of the last
  /// level that is known begins there.
  ///
  /// Static, because a call that borrows the arena copies it to the stack.
  ///
  /// - Parameter bits: log2 of the descriptors of a table.
  @inline(never)
  private static func descend(
    to page: UInt64, from pgd: UInt32, _ startLevel: Int, _ cache: borrowing WalkCache,
    _ records: UnsafeMutablePointer<Record>, _ bits: UInt64
  ) {
    let end = lastTable(on: page, from: pgd, startLevel, cache, records, bits)
    let mask = 1 &<< Int(truncatingIfNeeded: bits) &- 1
    let offset = Int(truncatingIfNeeded: page &>> end.shift) & mask
    let (value, position) = find(records[Int(end.table)], offset)
    cache.last = WalkEnd(
      page: page, table: end.table, level: Int32(truncatingIfNeeded: end.level), offset: offset,
      position: position, entry: Stage2Descriptor(rawValue: value))
  }

  /// The last table on the way to `page`, its level, and log2 of the pages that an entry of that level covers. One of the last
  /// level is known from now on.
  @inline(__always)
  private static func lastTable(
    on page: UInt64, from pgd: UInt32, _ startLevel: Int, _ cache: borrowing WalkCache,
    _ records: UnsafeMutablePointer<Record>, _ bits: UInt64
  ) -> (table: UInt32, level: Int, shift: UInt64) {
    let span = page &>> bits
    if let table = cache.table(of: span) { return (table, 3, 0) }
    let last = lastTable(on: page, from: pgd, startLevel, records, bits)
    if last.level == 3 { cache.note(last.table, of: span) }
    return last
  }

  @inline(__always)
  private static func lastTable(
    on page: UInt64, from pgd: UInt32, _ startLevel: Int, _ records: UnsafeMutablePointer<Record>,
    _ bits: UInt64
  ) -> (table: UInt32, level: Int, shift: UInt64) {
    let mask = 1 &<< Int(truncatingIfNeeded: bits) &- 1
    var shift = bits &* UInt64(truncatingIfNeeded: 3 &- startLevel)
    var table = pgd &+ UInt32(truncatingIfNeeded: page &>> (shift &+ bits))
    var level = startLevel
    while level < 3 {
      let offset = Int(truncatingIfNeeded: page &>> shift) & mask
      guard let child = child(records[Int(table)], offset) else { break }
      table = child
      level &+= 1
      shift &-= bits
    }
    return (table, level, shift)
  }

  /// Brings the entry for `page` nearer: most of the time of a walk to a page that was not walked to for long goes into
  /// waiting for it. Of a sparse table, its first offsets.
  @inline(__always)
  func prefetch(_ page: UInt64, from pgd: UInt32, _ startLevel: Int) {
    Self.prefetch(page, from: pgd, startLevel, cache, records, UInt64(truncatingIfNeeded: tableShift))
  }

  @inline(never)
  private static func prefetch(
    _ page: UInt64, from pgd: UInt32, _ startLevel: Int, _ cache: borrowing WalkCache,
    _ records: UnsafeMutablePointer<Record>, _ bits: UInt64
  ) {
    let end = lastTable(on: page, from: pgd, startLevel, cache, records, bits)
    if end.level < 3 { return }
    let record = records[Int(end.table)]
    let wordBytes = record.form.isWide ? MemoryLayout<WideWord>.stride : MemoryLayout<NarrowWord>.stride
    let mask = 1 &<< Int(truncatingIfNeeded: bits) &- 1
    let position = record.form.isSparse ? Int(record.capacity) : Int(truncatingIfNeeded: page) & mask
    cmemory_prefetch(
      UnsafeRawPointer(bitPattern: record.address &+ UInt(truncatingIfNeeded: position &* wordBytes)))
  }

  /// The descriptor at `offset` of a table, and its position if the table is sparse.
  @inline(__always)
  private static func find(_ record: Record, _ offset: Int) -> (value: UInt64, position: Int) {
    assert(record.count != 0, "no such table")
    if record.form == .array { return (array(record, of: NarrowWord.self)[offset].descriptor, 0) }
    if record.form.isWide { return findWide(record.address, record.form, record.entries, offset) }
    return find(record, offset, of: NarrowWord.self)
  }

  @inline(never)
  private static func findWide(
    _ address: UInt, _ form: Form, _ entries: UInt16, _ offset: Int
  ) -> (value: UInt64, position: Int) {
    let record = Record(address: address, count: 1, entries: entries, form: form)
    return form.isSparse
      ? find(record, offset, of: WideWord.self) : (array(record, of: WideWord.self)[offset].descriptor, 0)
  }

  /// Puts a descriptor into the empty entry at which the last walk ended, in a table of the last level, with the reference to
  /// the table that it holds (`get_page`).
  @inline(__always)
  mutating func fill(_ end: WalkEnd, _ value: UInt64) {
    assert(end.level == 3 && end.entry == .zero && value != 0 && cache.isLast(end.page), "no empty entry")
    let record = records + Int(end.table)
    record.pointee.count &+= 1
    cache.setLastEntry(value)
    guard !record.pointee.form.isWide, let word = NarrowWord(value) else {
      return storeWide(value, end.table, end.offset)
    }
    guard record.pointee.form.isSparse else {
      Self.array(record.pointee, of: NarrowWord.self)[end.offset] = word
      return
    }
    let entries = Self.sparse(record.pointee, of: NarrowWord.self)
    let count = Int(record.pointee.entries)
    let isGuessRight = entries.isPosition(end.position, of: end.offset, count: count)
    if count == Int(record.pointee.capacity) || !isGuessRight {
      return store(word, end.table, end.offset)
    }
    entries.insert(word, offset: end.offset, at: end.position, count: count)
    record.pointee.entries = UInt16(truncatingIfNeeded: count &+ 1)
  }

  // MARK: Counts

  /// Whether `table` is in use. What is free must not be read or written any more.
  @inline(__always)
  private func isLive(_ table: UInt32) -> Bool { table < used && records[Int(table)].count != 0 }

  /// `page_count` of `table`.
  @inline(__always)
  func count(_ table: UInt32) -> UInt32 {
    assert(isLive(table), "no such table")
    return UInt32(records[Int(table)].count)
  }

  /// `get_page` on `table`.
  @inline(__always)
  mutating func get(_ table: UInt32) {
    assert(isLive(table), "no such table")
    records[Int(table)].count += 1
  }

  /// `put_page` on `table` for one of its descriptors; the table's own reference stays.
  @inline(__always)
  mutating func put(_ table: UInt32) {
    assert(isLive(table), "no such table")
    precondition(records[Int(table)].count > 1, "a table has no reference left for a descriptor")
    records[Int(table)].count -= 1
  }

  // MARK: Tables

  /// An empty table with a count of 1.
  ///
  /// - Parameter isLastLevel: every walk passes through the others, and they are few.
  mutating func allocate(isLastLevel: Bool) -> UInt32 {
    let table: UInt32
    if freeHead != .max {
      table = freeHead
      freeHead = UInt32(truncatingIfNeeded: records[Int(table)].address)
      freeCount -= 1
    } else {
      table = used
      if Int(used) == capacity { reserve() }
      used += 1
    }
    let form = isLastLevel ? Form.smallest : .array
    let record = Record(address: take(form), count: 1, entries: 0, form: form)
    if isLastLevel {
      Self.sparse(record, of: NarrowWord.self).clear(capacity: form.capacity)
    } else {
      Self.array(record, of: NarrowWord.self).initialize(repeating: .empty, count: descriptors)
    }
    records[Int(table)] = record
    return table
  }

  /// `count` tables with consecutive indices. Only the first allocation of an arena can ask for this:
  /// the concatenated tables of a PGD.
  mutating func allocateFirst(_ count: Int) -> UInt32 {
    precondition(used == 0, "tables were allocated before")
    let first = allocate(isLastLevel: false)
    for _ in 1..<max(1, count) { _ = allocate(isLastLevel: false) }
    return first
  }

  /// Gives a table back, whatever it holds.
  mutating func free(_ table: UInt32) {
    let record = records[Int(table)]
    precondition(record.count != 0, "a table is freed twice")
    cache.forget()
    giveBack(record)
    records[Int(table)] = Record(address: UInt(freeHead), count: 0, entries: 0, form: .array)
    freeHead = table
    freeCount += 1
  }

  private mutating func reserve() {
    let more = capacity + max(4, capacity / 16)
    let larger = UnsafeMutablePointer<Record>.allocate(capacity: more)
    larger.moveInitialize(from: records, count: Int(used))
    records.deallocate()
    records = larger
    capacity = more
  }

  // MARK: Forms

  /// Memory for a table of `form`.
  @inline(__always)
  private mutating func take(_ form: Form) -> UInt {
    memory.allocate(byteCount(form), kind: Int(form.rawValue))
  }

  @inline(__always)
  private mutating func giveBack(_ record: Record) {
    memory.free(record.address, byteCount(record.form), kind: Int(record.form.rawValue))
  }

  @inline(__always)
  private func byteCount(_ form: Form) -> Int {
    form.isWide ? byteCount(form, of: WideWord.self) : byteCount(form, of: NarrowWord.self)
  }

  @inline(__always)
  private func byteCount<Word: TableWord>(_ form: Form, of _: Word.Type) -> Int {
    form.isSparse
      ? SparseTable<Word>.byteCount(form.capacity) : descriptors * MemoryLayout<Word>.stride
  }

  /// A sparse table that is full gets more room, or becomes an array.
  @inline(never)
  private mutating func grow<Word: TableWord>(_ table: UInt32, of word: Word.Type) {
    let old = records[Int(table)]
    let form = old.form.larger.capacity > descriptors &>> 3 ? old.form.asArray : old.form.larger
    let new = Record(address: take(form), count: old.count, entries: old.entries, form: form)
    let entries = Self.sparse(old, of: word)
    if form.isSparse {
      Self.sparse(new, of: word).clear(capacity: Int(new.capacity))
      entries.copy(to: Self.sparse(new, of: word), count: Int(old.entries))
    } else {
      let words = Self.array(new, of: word)
      words.initialize(repeating: .empty, count: descriptors)
      for position in 0..<Int(old.entries) { words[entries.offset(position)] = entries[position] }
    }
    records[Int(table)] = new
    giveBack(old)
  }

  /// The words of a table become wide.
  private mutating func widen(_ table: UInt32) {
    let old = records[Int(table)]
    let form = old.form.widened
    let new = Record(address: take(form), count: old.count, entries: old.entries, form: form)
    if form.isSparse {
      let entries = Self.sparse(old, of: NarrowWord.self)
      let wide = Self.sparse(new, of: WideWord.self)
      wide.clear(capacity: Int(new.capacity))
      for position in 0..<Int(old.entries) {
        let word = WideWord(entries[position].descriptor)!
        wide.insert(word, offset: entries.offset(position), at: position, count: position)
      }
    } else {
      let words = Self.array(new, of: WideWord.self)
      for (offset, word) in UnsafeBufferPointer(
        start: Self.array(old, of: NarrowWord.self), count: descriptors
      ).enumerated() {
        (words + offset).initialize(to: WideWord(word.descriptor)!)
      }
    }
    records[Int(table)] = new
    giveBack(old)
  }
}
