internal import Synchronization

/// Records of words on their way from one writer to one reader, in memory that two processes may share.
///
/// A record lies in one piece and begins with a word whose lower half is its length; a word of 0 says that the next record is at the
/// beginning. Head and tail count words since the beginning. Writer and reader each have a ring of their own on the same memory.
///
/// Whoever is at the other end may have gone wild: a position or a length that cannot be is not followed, and the ring is broken.
///
/// Invariant: `memory` points to `bytes(capacity)` bytes, zeroed at first, that outlive the ring and that only these two use; what lies
/// between tail and head is the reader's, all else the writer's.
struct WordRing {
  /// Head and tail have a cache line each.
  private static let headerBytes = 128

  private let head: UnsafeMutablePointer<Atomic<UInt64>>
  private let tail: UnsafeMutablePointer<Atomic<UInt64>>
  private let words: UnsafeMutablePointer<UInt64>
  private let capacity: Int
  /// This end's own position, and what it knows of the other's.
  private var (position, other): (UInt64, UInt64) = (0, 0)
  /// What lies there is not what the other end of a ring writes.
  private(set) var isBroken = false

  /// The bytes that a ring of so many words takes.
  static func bytes(_ capacity: Int) -> Int { headerBytes + capacity * MemoryLayout<UInt64>.stride }

  /// - Parameter capacity: a power of two.
  init(_ memory: UnsafeMutableRawPointer, capacity: Int) {
    precondition(capacity & (capacity - 1) == 0, "the size of a ring is a power of two")
    head = memory.assumingMemoryBound(to: Atomic<UInt64>.self)
    tail = (memory + 64).assumingMemoryBound(to: Atomic<UInt64>.self)
    words = (memory + Self.headerBytes).assumingMemoryBound(to: UInt64.self)
    self.capacity = capacity
  }

  // MARK: The writer's end

  /// Room for a record of `count` words, at most a quarter of the ring; nil where there is none now.
  @inline(__always)
  mutating func reserve(_ count: Int) -> UnsafeMutablePointer<UInt64>? {
    let place = Int(truncatingIfNeeded: position) & (capacity - 1)
    let skipped = place + count > capacity ? capacity - place : 0
    if !hasRoom(skipped + count) { return nil }
    if skipped > 0 {
      words[place] = 0
      position += UInt64(skipped)
    }
    return words + (skipped > 0 ? 0 : place)
  }

  @inline(__always)
  private mutating func hasRoom(_ count: Int) -> Bool {
    if position &+ UInt64(count) &- other <= UInt64(capacity) { return true }
    other = tail.pointee.load(ordering: .acquiring)
    if position &- other > UInt64(capacity) { isBroken = true }
    return !isBroken && position &+ UInt64(count) &- other <= UInt64(capacity)
  }

  /// The record that was reserved is the reader's.
  @inline(__always)
  mutating func publish(_ count: Int) {
    position += UInt64(count)
    head.pointee.store(position, ordering: .releasing)
  }

  // MARK: The reader's end

  /// The next record, which lies there as a whole; nil where there is none yet.
  @inline(__always)
  mutating func next() -> UnsafePointer<UInt64>? {
    while !isBroken {
      if position == other {
        other = head.pointee.load(ordering: .acquiring)
        if position == other { return nil }
      }
      let place = Int(truncatingIfNeeded: position) & (capacity - 1)
      let record = words + place
      let length = record.pointee & 0xffff_ffff
      // The rest of the ring, where the record is at its beginning.
      let step = record.pointee == 0 ? UInt64(capacity - place) : length
      guard step > 0, step <= UInt64(capacity - place), step <= other &- position,
        other &- position <= UInt64(capacity)
      else { break }
      if record.pointee != 0 { return UnsafePointer(record) }
      position += step
    }
    isBroken = true
    return nil
  }

  /// The record that `next` gave is done with.
  @inline(__always)
  mutating func consume(_ record: UnsafePointer<UInt64>) {
    position &+= record.pointee & 0xffff_ffff
    tail.pointee.store(position, ordering: .releasing)
  }
}
