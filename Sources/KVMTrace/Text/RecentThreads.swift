/// Threads that lines had lately, found by the bytes that stand before the mark of a head, which are the same in all lines of a thread.
///
/// Invariant: whoever asks has `bytes` readable bytes before the mark.
struct RecentThreads {
  /// A thread and how lines tell it.
  struct Thread: BitwiseCopyable {
    var tid: Int32 = 0
    var process: Int32 = 0
    /// How far before the mark the command ends, in bytes; 0 in an entry that is free.
    var distance = 0
    var words = (UInt64(0), UInt64(0), UInt64(0))
  }

  /// How many bytes before the mark are compared: they hold the thread and the process.
  static let bytes = 24

  private var threads = InlineArray<16, Thread>(repeating: Thread())

  @inline(__always)
  func find(before mark: UnsafePointer<UInt8>) -> Thread? {
    let words = Self.words(before: mark)
    let thread = threads[Self.index(words)]
    return thread.distance > 0 && thread.words == words ? thread : nil
  }

  /// Remembers what stands before `mark`, if it is no longer than what is compared.
  mutating func note(_ head: LineHead, distance: Int, before mark: UnsafePointer<UInt8>) {
    guard distance <= Self.bytes else { return }
    let words = Self.words(before: mark)
    threads[Self.index(words)] = Thread(
      tid: head.tid, process: head.process, distance: distance, words: words)
  }

  @inline(__always)
  private static func words(before mark: UnsafePointer<UInt8>) -> (UInt64, UInt64, UInt64) {
    (TextCursor.word(mark - 24), TextCursor.word(mark - 16), TextCursor.word(mark - 8))
  }

  @inline(__always)
  private static func index(_ words: (UInt64, UInt64, UInt64)) -> Int {
    let mixed = (words.0 &* 31 &+ words.1) &* 31 &+ words.2
    return Int(truncatingIfNeeded: (mixed &* 0x9e37_79b9_7f4a_7c15) >> 60)
  }
}
