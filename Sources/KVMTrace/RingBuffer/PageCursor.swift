/// How far a page is decoded, and where what it holds goes.
///
/// Invariant: `base ..< base + end` is readable; `records` has room for what `PageDecoder.recordsMax` says, `counts` for one
/// counter of each format and one more.
struct PageCursor {
  let base: UnsafeRawPointer
  /// Where the page's data ends.
  let end: Int
  let records: UnsafeMutablePointer<TraceRecord>
  let counts: UnsafeMutablePointer<UInt64>
  /// Where the next item begins.
  var offset: Int
  /// The ring buffer's own stamp so far.
  var stamp: UInt64
  /// How many records are written.
  var written = 0
  /// How many events are missing before the next one, nil once a record tells.
  var loss: UInt64?
  /// Whether there was an event since the stamps last went back, and the stamps of the first and the last one.
  var hasEvent = false
  var first: UInt64 = 0
  var last: UInt64 = 0

  /// Writes a record behind the others.
  mutating func append(_ record: TraceRecord) {
    (records + written).initialize(to: record)
    written += 1
  }
}
