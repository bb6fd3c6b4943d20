internal import Glibc

/// The fields of a bundle (FtraceEventBundle): which there are, and where the next event begins behind what is none of them.
enum BundleFields {
  /// The tag of `event`.
  static let eventTag: UInt64 = 2 << 3 | WireType.bytes

  /// Whether it is known that a bundle can have a field with this tag.
  @inline(__always)
  static func canHave(_ tag: UInt64) -> Bool {
    switch tag >> 3 {
    case 0: false
    // cpu, lost_events, ftrace_clock, ftrace_timestamp, boot_timestamp, last_read_event_timestamp, previous_bundle_end_timestamp
    case 1, 3, 5, 6, 7, 9, 10: tag & 7 == WireType.varint
    // event, compact_sched, error, generic_event_descriptors, broken_abi_trace_page
    case 2, 4, 8, 11, 512: tag & 7 == WireType.bytes
    // There may be more one day.
    case 12..<64, 513..<576: hasValue(tag)
    default: false
    }
  }

  /// Steps over the value of a field that no bundle had when this was written, and over more such fields behind it; false where it is
  /// rather something damaged: what is known of a bundle must follow, or its end, or very many of them.
  ///
  /// - Parameter isWhole: whether the bundle ends where `cursor` does.
  static func skipNew(_ tag: UInt64, _ cursor: inout WireCursor, isWhole: Bool) -> Bool {
    guard hasNewNumber(tag), cursor.skipValue(ofType: tag & 7) else { return false }
    for _ in 0..<newMax {
      if cursor.isAtEnd { return true }
      var next = cursor
      guard let tag = next.varint() else { return mayBeCut(cursor, isWhole) }
      if tag == eventTag { return isEvent(&next) || mayBeCut(cursor, isWhole) }
      if canHave(tag) { return true }
      guard hasNewNumber(tag), next.skipValue(ofType: tag & 7) else { return mayBeCut(cursor, isWhole) }
      cursor = next
    }
    return true
  }

  /// Whether an event's length and the event follow.
  private static func isEvent(_ cursor: inout WireCursor) -> Bool {
    guard let count = cursor.varint() else { return false }
    let event = cursor.position
    return cursor.skip(count) && EventHead(anyOrder: WireCursor(event, end: cursor.position)) != nil
  }

  /// Whether what follows may be whole where the bundle goes on.
  private static func mayBeCut(_ cursor: WireCursor, _ isWhole: Bool) -> Bool {
    !isWhole && cursor.remaining < usualBytesMax
  }

  /// Few fields are longer.
  private static let usualBytesMax = 4096
  /// So many fields that follow one another are no damage, whatever comes behind them.
  private static let newMax = 64

  private static func hasValue(_ tag: UInt64) -> Bool {
    [WireType.varint, WireType.bytes, WireType.fixed32, WireType.fixed64].contains(tag & 7)
  }

  /// Whether a field's number is one that may be given out one day.
  private static func hasNewNumber(_ tag: UInt64) -> Bool {
    tag >> 3 >= 64 && tag >> 3 != 512 && tag >> 3 < 1 << 29 && hasValue(tag)
  }

  /// Where an event begins behind `place`; nil where there is none before `end`.
  ///
  /// It must be as Perfetto writes one, and another one must begin behind it, or the bundle end there.
  static func event(behind place: UnsafeRawPointer, end: UnsafeRawPointer) -> UnsafeRawPointer? {
    var start = place + 1
    while start < end, let found = memchr(start, Int32(eventTag), end - start) {
      let candidate = UnsafeRawPointer(found)
      if let next = endOfEvent(at: candidate, end), next == end || endOfEvent(at: next, end) != nil {
        return candidate
      }
      start = candidate + 1
    }
    return nil
  }

  /// Where the event at `place` ends; nil where there is none.
  private static func endOfEvent(at place: UnsafeRawPointer, _ end: UnsafeRawPointer) -> UnsafeRawPointer? {
    var cursor = WireCursor(place, end: end)
    guard cursor.takes(UInt8(eventTag)), let count = cursor.varint() else { return nil }
    let begin = cursor.position
    guard cursor.skip(count), EventHead(WireCursor(begin, end: cursor.position)) != nil else { return nil }
    return cursor.position
  }
}
