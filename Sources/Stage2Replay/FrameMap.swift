internal import CMemoryHints

/// A small hash table from frames, blocks or other numbers that the host chose to a value: for what every fault puts in and
/// takes out again.
///
/// Open addressing with linear probing. The invariant: from the home of a key, which its hash names, to the slot where it
/// lies, every slot is taken. So a search ends at the first vacant slot, and a removal moves what follows back into the
/// hole where the hole lies between its home and its slot. No more than half of the slots are taken.
///
/// The slots are raw memory, for an array would ask at every change whether it is the only one that knows them. All of them
/// are initialised, as many as `mask` and one more, and every slot's number is masked.
struct FrameMap<Value: BitwiseCopyable>: ~Copyable {
  private struct Entry: BitwiseCopyable {
    var key: UInt64
    var value: Value
  }

  /// A key that no entry can have.
  private static var vacant: UInt64 { .max }

  private var entries: UnsafeMutablePointer<Entry>
  /// As many slots as there are, a power of two, less one.
  private var mask: Int
  /// What to shift a product of 64 bits by for a slot's number.
  private var shift: UInt64
  private(set) var count = 0
  /// What vacant slots hold.
  private let filler: Value

  /// An empty map.
  ///
  /// - Parameter filler: any value, for vacant slots to hold.
  init(filler: Value) {
    self.filler = filler
    shift = 60
    mask = 15
    entries = Self.slots(mask + 1, filler)
  }

  deinit { entries.deallocate() }

  /// As many vacant slots.
  private static func slots(_ count: Int, _ filler: Value) -> UnsafeMutablePointer<Entry> {
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: count)
    entries.initialize(repeating: Entry(key: vacant, value: filler), count: count)
    return entries
  }

  /// The value at `key`.
  subscript(key: UInt64) -> Value? {
    @inline(__always) get { slot(of: key).map { entries[$0].value } }
  }

  /// Puts a value in, in place of that which was there.
  ///
  /// - Returns: the value that was there.
  @inline(__always)
  mutating func updateValue(_ value: Value, forKey key: UInt64) -> Value? {
    precondition(key != Self.vacant)
    var slot = home(key)
    while entries[slot].key != Self.vacant {
      if entries[slot].key == key {
        let earlier = entries[slot].value
        entries[slot].value = value
        return earlier
      }
      slot = following(slot)
    }
    entries[slot] = Entry(key: key, value: value)
    count += 1
    if count > mask / 2 { grow() }
    return nil
  }

  /// Takes out what `key` has, if it has anything.
  @inline(__always)
  mutating func remove(_ key: UInt64) {
    if let slot = slot(of: key) { remove(at: slot) }
  }

  /// Calls `body` with each key, in no order.
  func forEachKey(_ body: (UInt64) -> Void) {
    for slot in 0...mask where entries[slot].key != Self.vacant { body(entries[slot].key) }
  }

  /// The keys in a range, however long it is.
  func keys(in range: ClosedRange<UInt64>) -> [UInt64] {
    if range.upperBound - range.lowerBound < UInt64(count) { return range.filter { slot(of: $0) != nil } }
    var keys: [UInt64] = []
    forEachKey { if range.contains($0) { keys.append($0) } }
    return keys
  }

  // MARK: Slots

  /// A key is looked for soon.
  @inline(__always)
  func prefetch(_ key: UInt64) { cmemory_prefetch(entries + home(key)) }

  /// The slot of a key, until anything is put in or removed.
  @inline(__always)
  func slot(of key: UInt64) -> Int? {
    var slot = home(key)
    while entries[slot].key != key {
      if entries[slot].key == Self.vacant { return nil }
      slot = following(slot)
    }
    return slot
  }

  /// The value in a slot that is taken.
  subscript(slot slot: Int) -> Value {
    @inline(__always) get { entries[slot & mask].value }
    @inline(__always) set { entries[slot & mask].value = newValue }
  }

  /// Takes out what a slot holds.
  mutating func remove(at slot: Int) {
    var hole = slot
    var next = following(hole)
    while entries[next].key != Self.vacant {
      // How far its own home is behind it, and how far the hole.
      let fromHome = (next &- home(entries[next].key)) & mask
      let fromHole = (next &- hole) & mask
      if fromHome >= fromHole {
        entries[hole] = entries[next]
        hole = next
      }
      next = following(next)
    }
    entries[hole] = Entry(key: Self.vacant, value: filler)
    count -= 1
  }

  /// Neighbours lie apart: 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming 6.4).
  @inline(__always)
  private func home(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) &>> shift)
  }

  @inline(__always)
  private func following(_ slot: Int) -> Int { (slot &+ 1) & mask }

  private mutating func grow() {
    let old = (entries: entries, mask: mask)
    shift -= 1
    mask = 2 * mask + 1
    entries = Self.slots(mask + 1, filler)
    defer { old.entries.deallocate() }
    for position in 0...old.mask {
      let entry = old.entries[position]
      guard entry.key != Self.vacant else { continue }
      var slot = home(entry.key)
      while entries[slot].key != Self.vacant { slot = following(slot) }
      entries[slot] = entry
    }
  }
}
