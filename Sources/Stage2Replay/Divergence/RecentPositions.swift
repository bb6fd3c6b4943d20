/// Where in the merged trace things last happened, by key: a table of fixed size in which a later key takes the place
/// of an earlier one. What was displaced is remembered as the latest of all, so that an answer errs to one side only.
struct RecentPositions {
  private struct Entry {
    var key: UInt64
    var position: UInt64
    /// The highest position of any other key that was here.
    var displaced: UInt64
  }

  private var entries: [Entry]
  private let shift: UInt64

  /// A table of 2^`bits` entries, 24 bytes each.
  init(bits: Int) {
    entries = Array(repeating: Entry(key: .max, position: 0, displaced: 0), count: 1 << bits)
    shift = UInt64(64 - bits)
  }

  /// Multiplication by the golden ratio spreads neighbouring keys evenly.
  @inline(__always)
  private func index(_ key: UInt64) -> Int { Int((key &* 0x9e37_79b9_7f4a_7c15) >> shift) }

  /// `key` happened at `position`, which never goes back.
  @inline(__always)
  mutating func note(_ key: UInt64, at position: UInt64) {
    let index = index(key)
    if entries[index].key != key {
      entries[index].displaced = entries[index].position
      entries[index].key = key
    }
    entries[index].position = position
  }

  /// Whether `key` happened after `position`, or may have.
  func mayBe(_ key: UInt64, after position: UInt64) -> Bool {
    let entry = entries[index(key)]
    return (entry.key == key ? entry.position : max(entry.position, entry.displaced)) > position
  }
}
