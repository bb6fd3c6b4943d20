internal import KVMTypes

/// Where in the merged trace things last happened, by key: a table of limited size in which a later key takes the place
/// of an earlier one. What was displaced is remembered as the latest of all, so that an answer errs to one side only.
struct RecentPositions: ~Copyable {
  struct Entry {
    var key = UInt64.max
    var position = Sequence.start
    /// The highest position of any other key that was here.
    var displaced = Sequence.start

    /// `key` happened at `position`, and takes the place of another one.
    @inline(__always)
    mutating func note(_ key: UInt64, at position: Sequence) {
      if self.key != key {
        if self.key != .max { displaced = self.position }
        self.key = key
      }
      self.position = position
    }
  }

  private var entries = RecordStore<Entry>()
  private var bits: UInt64 = 0
  /// Entries that are in use.
  private var used = 0
  private let bitsMax: UInt64

  /// A table that grows to 2^`bits` entries, 24 bytes each.
  init(bits: UInt64) { bitsMax = bits }

  /// Multiplication by the golden ratio spreads neighbouring keys evenly; the top bits count, so that a table that has
  /// grown keeps what was in one place together.
  @inline(__always)
  private func index(_ key: UInt64) -> Int { Int((key &* 0x9e37_79b9_7f4a_7c15) &>> (64 &- bits)) }

  /// `key` happened at `position`, which never goes back.
  @inline(__always)
  mutating func note(_ key: UInt64, at position: Sequence) {
    if entries.count == 0 { grow() }
    var entry = entries.place(of: index(key))
    if entry.pointee.key != key {
      // While there is little in the table, two keys in one place are bad luck; then it is too small.
      if entry.pointee.key != .max, bits < bitsMax, used > entries.count / 16 {
        grow()
        entry = entries.place(of: index(key))
      }
      if entry.pointee.key == .max { used += 1 }
    }
    entry.pointee.note(key, at: position)
  }

  /// Four entries take the place of each.
  @inline(never)
  private mutating func grow() {
    let step: UInt64 = entries.count == 0 ? 6 : 2
    bits = min(bits + step, bitsMax)
    var old = RecordStore(repeating: Entry(), count: 1 << bits)
    swap(&old, &entries)
    guard old.count > 0 else { return }
    let children = entries.count / old.count
    for position in 0..<old.count {
      let entry = old[position]
      for child in 0..<children { entries[position * children + child].displaced = entry.displaced }
      guard entry.key != .max else { continue }
      entries[index(entry.key)].key = entry.key
      entries[index(entry.key)].position = entry.position
    }
  }

  /// Whether `key` happened after `position`, or may have.
  func mayBe(_ key: UInt64, after position: Sequence) -> Bool {
    if entries.count == 0 { return false }
    let entry = entries[index(key)]
    return (entry.key == key ? entry.position : max(entry.position, entry.displaced)) > position
  }
}
