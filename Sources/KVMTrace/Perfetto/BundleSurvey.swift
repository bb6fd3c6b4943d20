/// What a bundle (FtraceEventBundle) is, besides its events: a walk over all its fields, which looks into each event as far as to know
/// what it is.
struct BundleSurvey {
  /// Its CPU: what its first field of that number says, for behind damage anything may be taken for one.
  var cpu: UInt64 { firstCPU ?? 0 }
  private var firstCPU: UInt64?
  /// Whether the kernel lost events before its first one.
  private(set) var isBehindLoss = false
  /// The kernel's clock. Only what stands before all events or behind them says so: between them it is a part of a damaged one.
  var clock: FtraceClock { leadingClock ?? trailingClock ?? .boot }
  private var leadingClock: FtraceClock?
  private var trailingClock: FtraceClock?
  /// One moment by the kernel's clock and by CLOCK_BOOTTIME.
  private(set) var ftraceTime: UInt64?
  private(set) var bootTime: UInt64?
  private(set) var first: UInt64?
  private(set) var eventCount = 0
  /// How many parts of the kernel's buffer the recorder could not read.
  private(set) var errorCount = 0
  /// Descriptions of events.
  private(set) var descriptors: [WireMessage] = []
  /// Whether the walk came to something that is no field. It goes on at the next event.
  private(set) var isMalformed = false

  /// A bundle has no more descriptions: a kernel has some thousand kinds of event.
  private static let descriptorsMax = 8192

  /// - Parameter bytes: the bundle, with `WireCursor.slackBytes` behind it.
  init(_ bytes: UnsafeRawBufferPointer, events: PerfettoEvents) {
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let begin = cursor.position
      if take(&cursor, events) { continue }
      isMalformed = true
      guard let event = BundleFields.event(behind: begin, end: cursor.end) else { return }
      cursor = WireCursor(event, end: cursor.end)
    }
  }

  /// Takes in a field; false where it is none.
  @inline(__always)
  private mutating func take(_ cursor: inout WireCursor, _ events: PerfettoEvents) -> Bool {
    guard let tag = cursor.varint() else { return false }
    guard tag == BundleFields.eventTag else { return take(tag, &cursor) }
    guard let count = cursor.varint() else { return false }
    let begin = cursor.position
    guard cursor.skip(count) else { return false }
    note(WireCursor(begin, end: cursor.position), events)
    return true
  }

  /// Takes in a field that is no event; false where it is no field.
  private mutating func take(_ tag: UInt64, _ cursor: inout WireCursor) -> Bool {
    guard BundleFields.canHave(tag) else { return false }
    guard tag & 7 == WireType.varint || tag & 7 == WireType.bytes else {
      return cursor.skipValue(ofType: tag & 7)
    }
    guard let value = cursor.varint() else { return false }
    if tag & 7 == WireType.bytes {
      let begin = cursor.position
      guard cursor.skip(value) else { return false }
      if tag >> 3 == 8 { errorCount += 1 }
      if tag >> 3 == 11, descriptors.count < Self.descriptorsMax {
        descriptors.append(WireMessage(UnsafeRawBufferPointer(start: begin, count: Int(value))))
      }
      return true
    }
    switch tag >> 3 {
    case 1: firstCPU = firstCPU ?? value
    case 3: isBehindLoss = value != 0
    case 5:
      let clock = FtraceClock(rawValue: value) ?? .unknown
      if eventCount == 0 { leadingClock = clock } else { trailingClock = clock }
    case 6: ftraceTime = value
    case 7: bootTime = value
    default: break
    }
    return true
  }

  /// Looks at an event: what it is, and the stamp of the first one.
  @inline(__always)
  private mutating func note(_ event: WireCursor, _ events: PerfettoEvents) {
    eventCount &+= 1
    trailingClock = nil
    guard let head = EventHead(event) ?? EventHead(anyOrder: event) else { return }
    events.seen[head.slot] = true
    if first == nil { first = head.time }
    if head.slot == EventSlot.generic {
      events.generic.note(
        UnsafeRawBufferPointer(start: head.payload.position, count: head.payload.remaining))
    }
  }
}
