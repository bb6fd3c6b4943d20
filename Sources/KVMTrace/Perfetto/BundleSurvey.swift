/// What a bundle (FtraceEventBundle) is, besides its events: a walk over all its fields, which looks into each event as far as to know
/// what it is.
struct BundleSurvey {
  /// Its CPU: what its first field of that number says, for behind damage anything may be taken for one.
  var cpu: UInt64 { firstCPU ?? 0 }
  private var firstCPU: UInt64?
  /// Whether the kernel lost events before its first one.
  private(set) var isBehindLoss = false
  /// The kernel's clock. Only what stands before all events or behind them says so: between them it is a part of a damaged one.
  var clock: FtraceClock { clocks.leading ?? clocks.trailing ?? .boot }
  private(set) var clocks = Clocks()
  private(set) var stamps = Stamps()
  private(set) var eventCount = 0
  /// How many parts of the kernel's buffer the recorder could not read.
  private(set) var errorCount = 0
  /// Descriptions of events.
  private(set) var descriptors: [WireMessage] = []
  /// Whether the walk came to something that is no field. It goes on at the next event.
  private(set) var isMalformed = false

  /// What is said of the kernel's clock.
  struct Clocks {
    fileprivate var leading: FtraceClock?
    fileprivate var trailing: FtraceClock?
    /// One moment by the kernel's clock and by CLOCK_BOOTTIME.
    fileprivate(set) var ftraceTime: UInt64?
    fileprivate(set) var bootTime: UInt64?
  }

  /// The stamps of the events, by the kernel's clock.
  struct Stamps {
    /// That of the first event; nil where there is no event that can be read.
    fileprivate(set) var first: UInt64?
    /// That of the last event, also of one of compact sched.
    fileprivate(set) var last: UInt64?
    /// Whether there may be later ones: an event cannot be read.
    fileprivate(set) var isOpen = false
    /// That of the last event of the CPU's bundle before, 0 for the first one; nil where the recorder does not say so.
    fileprivate(set) var previousEnd: UInt64?

    @inline(__always)
    fileprivate mutating func note(_ time: UInt64) {
      if first == nil { first = time }
      last = max(last ?? time, time)
    }

    /// Takes in a CompactSched: the times of events, each by how much it comes behind the one before.
    fileprivate mutating func take(compactSched message: WireMessage) {
      var message = message
      while let field = message.next() {
        // switch_timestamp and waking_timestamp.
        guard field.number == 1 || field.number == 7, field.type == WireType.bytes else { continue }
        var (cursor, time) = (WireCursor(field.bytes), UInt64(0))
        while !cursor.isAtEnd {
          guard let distance = cursor.varint() else { break }
          time &+= distance
        }
        last = max(last ?? time, time)
      }
    }
  }

  /// Whether there is something in place of events, but none that can be read.
  var isUnreadable: Bool { stamps.first == nil && (eventCount > 0 || isMalformed) }

  /// A bundle has no more descriptions: a kernel has some thousand kinds of event.
  private static let descriptorsMax = 8192

  /// - Parameter bytes: the bundle, with `WireCursor.slackBytes` behind it.
  init(_ bytes: UnsafeRawBufferPointer, events: PerfettoEvents) {
    var cursor = WireCursor(bytes)
    while !cursor.isAtEnd {
      let begin = cursor.position
      if take(&cursor, events.generic, events.seen) { continue }
      isMalformed = true
      stamps.isOpen = true
      guard let event = BundleFields.event(behind: begin, end: cursor.end) else { return }
      cursor = WireCursor(event, end: cursor.end)
    }
  }

  /// Takes in a field; false where it is none.
  @inline(__always)
  private mutating func take(
    _ cursor: inout WireCursor, _ generic: GenericEvents, _ seen: UnsafeMutablePointer<Bool>
  ) -> Bool {
    guard let tag = cursor.varint() else { return false }
    guard tag == BundleFields.eventTag else { return take(tag, &cursor) }
    guard let count = cursor.varint() else { return false }
    let begin = cursor.position
    guard cursor.skip(count) else { return false }
    note(WireCursor(begin, end: cursor.position), generic, seen)
    return true
  }

  /// Takes in a field that is no event; false where it is no field.
  private mutating func take(_ tag: UInt64, _ cursor: inout WireCursor) -> Bool {
    guard BundleFields.canHave(tag) else {
      return BundleFields.skipNew(tag, &cursor, isWhole: true)
    }
    guard tag & 7 == WireType.varint || tag & 7 == WireType.bytes else {
      return cursor.skipValue(ofType: tag & 7)
    }
    guard let value = cursor.varint() else { return false }
    if tag & 7 == WireType.bytes {
      let begin = cursor.position
      guard cursor.skip(value) else { return false }
      let message = WireMessage(UnsafeRawBufferPointer(start: begin, count: Int(value)))
      switch tag >> 3 {
      case 4: stamps.take(compactSched: message)
      case 8: errorCount += 1
      case 11 where descriptors.count < Self.descriptorsMax: descriptors.append(message)
      default: break
      }
      return true
    }
    switch tag >> 3 {
    case 1: firstCPU = firstCPU ?? value
    case 3: isBehindLoss = value != 0
    case 5:
      let clock = FtraceClock(rawValue: value) ?? .unknown
      if eventCount == 0 { clocks.leading = clock } else { clocks.trailing = clock }
    case 6: clocks.ftraceTime = value
    case 7: clocks.bootTime = value
    case 10: stamps.previousEnd = value
    default: break
    }
    return true
  }

  /// Looks at an event: what it is, and its stamp.
  @inline(__always)
  private mutating func note(
    _ event: WireCursor, _ generic: GenericEvents, _ seen: UnsafeMutablePointer<Bool>
  ) {
    eventCount &+= 1
    clocks.trailing = nil
    guard let head = EventHead(event) ?? EventHead(anyOrder: event) else {
      stamps.isOpen = true
      return
    }
    seen[head.slot] = true
    stamps.note(head.time)
    if head.slot == EventSlot.generic {
      generic.note(
        UnsafeRawBufferPointer(start: head.payload.position, count: head.payload.remaining))
    }
  }
}
