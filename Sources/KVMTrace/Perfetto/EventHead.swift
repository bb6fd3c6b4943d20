/// What an FtraceEvent says that every event has, and where the message lies that says the rest.
struct EventHead {
  /// The stamp, by the recording's own clock.
  private(set) var time: UInt64 = 0
  private(set) var pid: UInt64 = 0
  /// `common_flags`.
  private(set) var flags: UInt64 = 0
  /// What kind of event it is.
  private(set) var slot = EventSlot.none
  private(set) var payload: WireCursor

  private static let timeTag = UInt8(1 << 3 | WireType.varint)
  private static let pidTag = UInt8(2 << 3 | WireType.varint)
  private static let flagsTag = UInt8(5 << 3 | WireType.varint)

  /// Reads an event; nil where it is none, or has no stamp that can be one.
  @inline(__always)
  init?(_ event: WireCursor) {
    payload = event
    // As Perfetto writes it: stamp, pid, flags, and the message up to the end.
    var cursor = event
    guard cursor.takes(Self.timeTag), let time = cursor.varint(), cursor.takes(Self.pidTag),
      let pid = cursor.varint()
    else { return nil }
    guard HostLimits.canBe(stamp: time) else { return nil }
    (self.time, self.pid) = (time, pid)
    if cursor.takes(Self.flagsTag) {
      guard let flags = cursor.varint() else { return nil }
      self.flags = flags
    }
    guard let tag = cursor.varint(), tag & 7 == WireType.bytes, let count = cursor.varint(),
      count == UInt64(truncatingIfNeeded: cursor.remaining)
    else { return nil }
    slot = EventSlot.slot(ofNumber: tag >> 3)
    payload = cursor
  }

  /// Reads an event whose fields are in any order.
  @inline(never)
  init?(anyOrder event: WireCursor) {
    var cursor = event
    payload = WireCursor(event.end, end: event.end)
    var (hasTime, hasPayload) = (false, false)
    while !cursor.isAtEnd {
      guard let tag = cursor.varint() else { return nil }
      switch tag & 7 {
      case WireType.varint:
        guard let value = cursor.varint() else { return nil }
        switch tag >> 3 {
        case 1: (time, hasTime) = (value, true)
        case 2: pid = value
        case 5: flags = value
        default: break
        }
      case WireType.bytes:
        guard let count = cursor.varint() else { return nil }
        let begin = cursor.position
        // Where one stands where a number must, the event behind has become a part of this one.
        guard cursor.skip(count), ![1, 2, 5].contains(tag >> 3) else { return nil }
        // Of two, the first says what the event is; what the other is, is not known yet.
        if hasPayload { continue }
        slot = EventSlot.slot(ofNumber: tag >> 3)
        payload = WireCursor(begin, end: cursor.position)
        hasPayload = true
      default:
        guard cursor.skipValue(ofType: tag & 7) else { return nil }
      }
    }
    if !hasTime || !HostLimits.canBe(stamp: time) { return nil }
  }
}
