/// The nonzero descriptors of a table that has few: words and their offsets in the table, in ascending order.
///
/// A view of memory that belongs to `TableArena`. Invariant: `address` is that of `byteCount(capacity)` bytes, aligned
/// to 8; the first `count` words are initialised, and all offsets, of which those from `count` on are `none`. The
/// count is kept by the arena.
struct SparseTable<Word: TableWord> {
  private let words: UnsafeMutablePointer<Word>
  private let offsets: UnsafeMutablePointer<Int16>

  /// An offset above those of any table.
  private static var none: Int16 { .max }

  /// Offsets that are compared at once, and as many as there is always room for.
  private typealias Group = SIMD8<Int16>
  private typealias HalfGroup = SIMD4<Int16>

  /// Room for the offsets of `capacity` descriptors: whole half groups.
  @inline(__always)
  private static func room(_ capacity: Int) -> Int { (capacity &+ 3) & ~3 }

  /// The bytes of a table with room for `capacity` descriptors, a multiple of 8 for an even capacity.
  static func byteCount(_ capacity: Int) -> Int {
    capacity * MemoryLayout<Word>.stride + room(capacity) * MemoryLayout<Int16>.stride
  }

  /// The table at `address`. Words are 4 or 8 bytes, so with an even capacity the offsets are aligned as well.
  @inline(__always)
  init(at address: UInt, capacity: Int) {
    let memory = UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
    words = memory.assumingMemoryBound(to: Word.self)
    offsets = (memory + capacity &* MemoryLayout<Word>.stride).assumingMemoryBound(to: Int16.self)
  }

  /// Makes the memory a table without descriptors.
  func clear(capacity: Int) { offsets.initialize(repeating: Self.none, count: Self.room(capacity)) }

  /// The word at `position`.
  @inline(__always)
  subscript(position: Int) -> Word {
    get { words[position] }
    nonmutating set { words[position] = newValue }
  }

  /// The offset in the table of the word at `position`.
  @inline(__always)
  func offset(_ position: Int) -> Int { Int(offsets[position]) }

  /// The position of the first of `count` words whose offset is not below `offset`.
  @inline(__always)
  func position(of offset: Int, count: Int) -> Int {
    var first = 0
    var length = count
    while length > 64 {
      let half = (length &>> 1) & ~3
      if Int(offsets[first &+ half]) < offset { first &+= half }
      length &-= half
    }
    // How many lie below, eight at a time: a search by halves waits for each load, and for guesses that are wrong.
    let wanted = Group(repeating: Int16(truncatingIfNeeded: offset))
    var below = Group.zero
    var position = UnsafeRawPointer(offsets + first)
    let end = UnsafeRawPointer(offsets + (first &+ Self.room(length)))
    while position + MemoryLayout<Group>.size <= end {
      let group = position.loadUnaligned(as: Group.self)
      below = below.replacing(with: below &+ 1, where: group .< wanted)
      position += MemoryLayout<Group>.size
    }
    if position < end {
      let rest = position.loadUnaligned(as: HalfGroup.self)
      let group = Group(lowHalf: rest, highHalf: HalfGroup(repeating: Self.none))
      below = below.replacing(with: below &+ 1, where: group .< wanted)
    }
    return first &+ Int(below.wrappedSum())
  }

  /// Whether `position` is what `position(of:count:)` would return.
  @inline(__always)
  func isPosition(_ position: Int, of offset: Int, count: Int) -> Bool {
    position <= count && (position == count || Int(offsets[position]) >= offset)
      && (position == 0 || Int(offsets[position &- 1]) < offset)
  }

  /// Puts a word at `position`, before those of higher offsets.
  @inline(__always)
  func insert(_ word: Word, offset: Int, at position: Int, count: Int) {
    let above = count &- position
    if above > 0 {
      (words + position + 1).update(from: words + position, count: above)
      (offsets + position + 1).update(from: offsets + position, count: above)
    }
    words[position] = word
    offsets[position] = Int16(truncatingIfNeeded: offset)
  }

  /// Takes out the word at `position`.
  @inline(__always)
  func remove(at position: Int, count: Int) {
    let above = count &- position &- 1
    if above > 0 {
      (words + position).update(from: words + position + 1, count: above)
      (offsets + position).update(from: offsets + position + 1, count: above)
    }
    offsets[count &- 1] = Self.none
  }

  /// Copies `count` words to a larger table that has none.
  func copy(to other: SparseTable, count: Int) {
    other.words.update(from: words, count: count)
    other.offsets.update(from: offsets, count: count)
  }
}
