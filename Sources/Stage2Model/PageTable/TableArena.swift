/// The memory of translation tables: all descriptors of one stage-2 table, addressed by 32-bit indices.
///
/// This is the only file of the page table that touches raw memory. A walk of a table of some gigabytes is
/// bound by cache misses, so a descriptor is one load away from its table's index: no object per table, no
/// reference counting, no array header. Tables lie in chunks of 2 MiB, aligned to 2 MiB, which the host can
/// back by huge pages; a chunk never moves.
///
/// Invariant: every index that leaves `allocate` names a table inside a chunk that lives as long as the
/// arena. An offset within a table is masked to the table's size. So no access can leave the chunks as
/// long as callers use only indices that this arena gave them.
struct TableArena: ~Copyable {
  /// log2 of the descriptors of a table.
  private let tableShift: UInt32
  /// log2 of the tables of a chunk.
  private let chunkShift: UInt32
  private var chunks: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>
  private var chunkCount = 0
  private var chunkCapacity = 16
  /// One count a table: 0 while it is free, else 1 + its nonzero descriptors (`page_count`).
  private var counts: UnsafeMutablePointer<UInt32>
  private var countCapacity = 0
  /// Tables handed out at least once.
  private var used: UInt32 = 0
  /// The first free table; its first descriptor holds the next one.
  private var freeHead: UInt32 = .max
  /// Tables on the free list.
  private var freeCount: UInt32 = 0

  private static let chunkBytes = 2 << 20

  /// An arena of tables with `1 << bitsPerLevel` descriptors.
  init(bitsPerLevel: UInt64) {
    tableShift = UInt32(bitsPerLevel)
    chunkShift = 21 - 3 - UInt32(bitsPerLevel)
    chunks = .allocate(capacity: chunkCapacity)
    counts = .allocate(capacity: 0)
  }

  deinit {
    for index in 0..<chunkCount { UnsafeMutableRawPointer(chunks[index]).deallocate() }
    chunks.deallocate()
    counts.deallocate()
  }

  /// Tables in use.
  var liveTables: Int { Int(used - freeCount) }

  /// Bytes that the arena took from the allocator; the system backs them as they are touched.
  var byteCount: Int { chunkCount * Self.chunkBytes + countCapacity * MemoryLayout<UInt32>.stride }

  // Shifts are masked: both amounts are below 32 by construction, and a check would cost on every level.
  @inline(__always)
  private func base(_ table: UInt32) -> UnsafeMutablePointer<UInt64> {
    assert(table < used, "no such table")
    let inChunk = Int(table & ((1 &<< chunkShift) &- 1))
    return chunks[Int(table &>> chunkShift)] + (inChunk &<< Int(tableShift))
  }

  /// The descriptor at `offset` of `table`.
  @inline(__always)
  func load(_ table: UInt32, _ offset: Int) -> UInt64 {
    base(table)[offset & ((1 &<< Int(tableShift)) &- 1)]
  }

  /// Stores a descriptor without touching the table's count.
  @inline(__always)
  mutating func store(_ value: UInt64, _ table: UInt32, _ offset: Int) {
    base(table)[offset & ((1 &<< Int(tableShift)) &- 1)] = value
  }

  /// The nonzero descriptors of `table` with their offsets, ascending: for inspection, not for walks.
  func nonzeroDescriptors(_ table: UInt32) -> [(offset: Int, value: UInt64)] {
    let base = base(table)
    let end = 1 << Int(tableShift)
    var found: [(offset: Int, value: UInt64)] = []
    var offset = 0
    while offset < end {
      let value = base[offset]
      if value != 0 { found.append((offset, value)) }
      offset += 1
    }
    return found
  }

  /// `page_count` of `table`.
  @inline(__always)
  func count(_ table: UInt32) -> UInt32 {
    assert(table < used, "no such table")
    return counts[Int(table)]
  }

  /// `get_page` on `table`.
  @inline(__always)
  mutating func get(_ table: UInt32) {
    assert(table < used, "no such table")
    counts[Int(table)] += 1
  }

  /// `put_page` on `table` for one of its descriptors; the table's own reference stays.
  @inline(__always)
  mutating func put(_ table: UInt32) {
    assert(table < used, "no such table")
    precondition(counts[Int(table)] > 1, "a table has no reference left for a descriptor")
    counts[Int(table)] -= 1
  }

  /// A zeroed table with a count of 1.
  mutating func allocate() -> UInt32 {
    let table: UInt32
    if freeHead != .max {
      table = freeHead
      freeHead = UInt32(truncatingIfNeeded: base(table)[0])
      freeCount -= 1
    } else {
      table = used
      used += 1
      reserve(used)
    }
    base(table).update(repeating: 0, count: 1 << Int(tableShift))
    counts[Int(table)] = 1
    return table
  }

  /// `count` tables with consecutive indices. Only the first allocation of an arena can ask for this:
  /// the concatenated tables of a PGD.
  mutating func allocateFirst(_ count: Int) -> UInt32 {
    precondition(used == 0, "tables were allocated before")
    let first = allocate()
    for _ in 1..<max(1, count) { _ = allocate() }
    return first
  }

  /// Gives a table back, whatever it holds.
  mutating func free(_ table: UInt32) {
    precondition(counts[Int(table)] != 0, "a table is freed twice")
    counts[Int(table)] = 0
    base(table)[0] = UInt64(freeHead)
    freeHead = table
    freeCount += 1
  }

  private mutating func reserve(_ tables: UInt32) {
    while chunkCount << Int(chunkShift) < Int(tables) {
      if chunkCount == chunkCapacity {
        let larger = UnsafeMutablePointer<UnsafeMutablePointer<UInt64>>.allocate(
          capacity: chunkCapacity * 2)
        larger.moveInitialize(from: chunks, count: chunkCount)
        chunks.deallocate()
        chunks = larger
        chunkCapacity *= 2
      }
      let chunk = UnsafeMutableRawPointer.allocate(
        byteCount: Self.chunkBytes, alignment: Self.chunkBytes)
      (chunks + chunkCount).initialize(
        to: chunk.bindMemory(to: UInt64.self, capacity: Self.chunkBytes / 8))
      chunkCount += 1
    }
    if countCapacity < Int(tables) {
      let capacity = max(1 << Int(chunkShift), countCapacity * 2)
      let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
      larger.initialize(repeating: 0, count: capacity)
      larger.moveUpdate(from: counts, count: countCapacity)
      counts.deallocate()
      counts = larger
      countCapacity = capacity
    }
  }
}
