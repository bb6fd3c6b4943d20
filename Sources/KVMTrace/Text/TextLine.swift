/// A line that tells an event.
struct TextLine: BitwiseCopyable {
  let head: LineHead
  /// The name, with the system where perf script writes it.
  let name: TextCursor
  /// What stands behind the name.
  let text: TextCursor

  /// The event that stands behind `head`; nil where there is none.
  @inline(__always)
  init?(_ head: LineHead) {
    var cursor = head.event
    while cursor.place < cursor.end {
      let byte = cursor.place.pointee
      if byte == UInt8(ascii: ":"), cursor.count == 1 || cursor.place[1] == UInt8(ascii: " ") { break }
      if byte == UInt8(ascii: " ") { break }
      cursor.place += 1
    }
    self.head = head
    guard cursor.byte == UInt8(ascii: ":") else {
      guard let tracer = Self.tracer(head.event) else { return nil }
      (name, text) = (tracer, head.event)
      return
    }
    guard cursor.place > head.event.place, !Self.isPerfRecord(head.event) else { return nil }
    name = TextCursor(place: head.event.place, end: cursor.place)
    cursor.place += 1
    cursor.skipSpaces()
    text = cursor
  }

  /// What a line of a tracer is to be called, which has no name: a stack, or a function and its caller; nil where it is neither.
  private static func tracer(_ event: TextCursor) -> TextCursor? {
    let name: StaticString
    if event.begins(with: "<stack trace>") {
      name = "kernel_stack"
    } else if event.begins(with: "<user stack trace>") {
      name = "user_stack"
    } else {
      var cursor = event
      cursor.skipWord()
      guard cursor.begins(with: " <-") else { return nil }
      name = "function"
    }
    return TextCursor(place: name.utf8Start, end: name.utf8Start + name.utf8CodeUnitCount)
  }

  /// How many events a record of perf's says are lost, where it stands in the place of an event; nil for anything else.
  static func lost(_ event: TextCursor) -> UInt64? {
    var cursor = event
    guard cursor.take("PERF_RECORD_LOST") else { return nil }
    while !cursor.isAtEnd, !TextCursor.isDigit(cursor.byte) { cursor.place += 1 }
    return cursor.decimal() ?? 0
  }

  /// Whether a record of perf's stands in the place of an event, as some options of perf script ask for.
  @inline(__always)
  static func isPerfRecord(_ event: TextCursor) -> Bool {
    event.byte == UInt8(ascii: "P") && event.begins(with: "PERF_RECORD_")
  }
}
