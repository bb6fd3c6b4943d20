internal import KVMTypes

extension PageDecoder {
  /// What a page turned out to be.
  struct Outcome {
    /// How many records were written.
    var recordCount = 0
    /// The stamps of the first and the last event since the last step back, also of those that were not selected.
    var first: Nanoseconds?
    var last: Nanoseconds?
    /// The ring buffer's own stamp that the page ends with.
    var end: UInt64 = 0
    /// The least and the greatest of all stamps.
    var least: Nanoseconds?
    var greatest: Nanoseconds?
    /// How many events were lost before this page, 0 for an unknown number, nil for none.
    var lost: UInt64?
    /// Where in the page and why reading stopped early.
    var damage: (offset: Int, what: String)?
    /// Where the first event is that a replay reads and that is shorter than its format.
    var short: Int?
    /// Where an absolute stamp turned the time back the furthest, and from when to when.
    var stepBack: (offset: Int, from: Nanoseconds, to: Nanoseconds)?

    /// The events that `cursor` has seen since the last step back are over.
    mutating func close(_ cursor: PageCursor, _ time: TimeConversion) {
      (first, last) = (nil, nil)
      guard cursor.hasEvent else { return }
      let (begin, end) = (time.nanoseconds(cursor.first), time.nanoseconds(cursor.last))
      (first, last) = (begin, end)
      least = min(least ?? begin, begin)
      greatest = max(greatest ?? end, end)
    }

    /// The events so far are over: what follows has earlier stamps, from `stamp` on.
    mutating func turnBack(_ cursor: inout PageCursor, to stamp: UInt64, _ time: TimeConversion) {
      guard cursor.hasEvent else { return }
      let (from, to) = (time.nanoseconds(cursor.last), time.nanoseconds(stamp))
      if stepBack.map({ from - to > $0.from - $0.to }) ?? true { stepBack = (cursor.offset, from, to) }
      close(cursor, time)
      cursor.hasEvent = false
    }
  }

  /// How a page begins.
  struct Header: Equatable {
    var stamp: UInt64
    /// The whole word: a length and marks.
    var commit: UInt64

    /// Bytes of data.
    var dataBytes: Int { Int(commit & 0x07ff_ffff) }
    /// Whether nothing but a length and the marks of lost events stands in the word.
    var isWellFormed: Bool { commit & ~0xc7ff_ffff == 0 }
  }
}
