/// Events whose names lines had lately, found by the bytes behind a line's head, which nearly always begin with one of them.
///
/// Invariant: `entries` has `count` initialised elements until deinit; the names that they point to are valid for as long as the
/// `TextEvents` that have them.
struct RecentNames: ~Copyable {
  /// An event: its name with a colon and a space, padded as `TextCursor.begins(withPadded:_:)` wants it.
  struct Entry: BitwiseCopyable {
    var name: UnsafePointer<UInt8>
    /// How long that is, in bytes.
    var count: Int
    /// The event's position in `TextEvents`.
    var position: Int
  }

  private static let count = 256

  private let entries: UnsafeMutablePointer<Entry?>

  init() {
    entries = .allocate(capacity: Self.count)
    entries.initialize(repeating: nil, count: Self.count)
  }

  deinit { entries.deallocate() }

  /// The event that `line`, which stands behind a head, begins with, and its text; nil where it is none of these.
  @inline(__always)
  func find(_ line: TextCursor) -> (position: Int, text: TextCursor)? {
    guard line.count >= 16, let entry = entries[Self.index(line)],
      line.begins(withPadded: entry.name, entry.count)
    else { return nil }
    var text = line
    text.place += entry.count
    text.skipPadding()
    return (entry.position, text)
  }

  /// Remembers the event that `line` begins with.
  func note(_ line: TextCursor, _ entry: Entry) {
    if line.count >= 16 { entries[Self.index(line)] = entry }
  }

  @inline(__always)
  private static func index(_ line: TextCursor) -> Int {
    let mixed = TextCursor.word(line.place) ^ TextCursor.word(line.place + 8) &* 0x9e37_79b9_7f4a_7c15
    return Int(truncatingIfNeeded: (mixed &* 0x9e37_79b9_7f4a_7c15) >> 56)
  }
}
