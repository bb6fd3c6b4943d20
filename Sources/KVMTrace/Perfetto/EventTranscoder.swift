internal import KVMTypes

/// Makes records of Perfetto's events, one after another, in one pass over each.
///
/// Invariant: what `PageWriter.reserve` returned has room for the record that it was asked for, rounded up to four bytes; every place of
/// a plan lies inside `plan.bytes`.
struct EventTranscoder {
  /// What became of an event.
  enum Outcome {
    case written
    /// The page has no room for it.
    case pageIsFull
    /// It is not as an event must be.
    case malformed
  }

  private typealias Plan = UnsafeMutablePointer<EventLayout.Plan>

  /// An event's number that no format has: of a record that turned out malformed when it was begun.
  static let spoilt: UInt64 = 0xffff

  let layout: EventLayout
  let generic: GenericEvents
  /// What makes a stamp one of the trace's clock.
  let clockOffset: UInt64

  /// Writes an FtraceEvent.
  @inline(__always)
  func write(_ event: WireCursor, into writer: inout PageWriter) -> Outcome {
    guard let head = EventHead(event) ?? EventHead(anyOrder: event) else { return .malformed }
    let plan = layout.plan(ofSlot: head.slot)
    if plan.pointee.hasTexts || head.slot == EventSlot.generic { return writeSlowly(head, into: &writer) }
    let bytes = plan.pointee.bytes
    guard bytes > 0 else { return .written }
    guard let time = time(of: head) else { return .malformed }
    guard let record = writer.reserve(bytes, at: time) else {
      return writer.eventCount == 0 ? .malformed : .pageIsFull
    }
    Self.begin(record, head, plan)
    var payload = head.payload
    let places = layout.places + plan.pointee.firstPlace
    return Self.fill(record, &payload, places) || fillSlowly(record, payload, plan)
      ? .written : Self.spoil(record)
  }

  /// The stamp by the trace's clock; nil where that cannot be one.
  @inline(__always)
  private func time(of head: EventHead) -> Nanoseconds? {
    let time = head.time &+ clockOffset
    return HostLimits.canBe(stamp: time) ? Nanoseconds(time) : nil
  }

  /// Writes the common fields, and zeros for all others.
  @inline(__always)
  private static func begin(_ record: UnsafeMutableRawPointer, _ head: EventHead, _ plan: Plan) {
    let last = (plan.pointee.bytes &+ 3) & ~3 &- 8
    var offset = CanonicalFormats.headBytes
    while offset < last {
      record.storeBytes(of: 0, toByteOffset: offset, as: UInt64.self)
      offset &+= 8
    }
    record.storeBytes(of: 0, toByteOffset: last, as: UInt64.self)
    record.storeBytes(
      of: plan.pointee.head | (head.flags & 0xff) << 16 | head.pid << 32, as: UInt64.self)
  }

  /// Writes fields for as long as they are numbers and their tags take one byte; false where another one follows, at which `payload`
  /// then stands.
  @inline(__always)
  private static func fill(
    _ record: UnsafeMutableRawPointer, _ payload: inout WireCursor,
    _ places: UnsafeMutablePointer<EventLayout.Place>
  ) -> Bool {
    while !payload.isAtEnd {
      let tag = payload.position.load(as: UInt8.self)
      guard tag & 0x87 == 0 else { return false }
      var next = payload
      next.step()
      guard let value = next.varint() else { return false }
      store(value, places[Int(tag &>> 3)], record)
      payload = next
    }
    return true
  }

  /// Writes the rest of the fields; false where the event is malformed.
  @inline(never)
  private func fillSlowly(_ record: UnsafeMutableRawPointer, _ payload: WireCursor, _ plan: Plan) -> Bool {
    forEachValue(payload, plan, nil) { place, value in
      if case .number(let number) = value { Self.store(number, place, record) }
    }
  }

  @inline(__always)
  private static func store(_ value: UInt64, _ place: EventLayout.Place, _ record: UnsafeMutableRawPointer) {
    let offset = Int(place.offset)
    if place.kind == .u64 {
      record.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
    } else if place.kind == .u32 {
      record.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: offset, as: UInt32.self)
    } else {
      storeNarrow(value, place, record)
    }
  }

  // Apart, so that the two usual cases are two comparisons and no jump table.
  @inline(never)
  private static func storeNarrow(
    _ value: UInt64, _ place: EventLayout.Place, _ record: UnsafeMutableRawPointer
  ) {
    let offset = Int(place.offset)
    switch place.kind {
    case .u8: record.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: offset, as: UInt8.self)
    case .u16:
      record.storeBytes(of: UInt16(truncatingIfNeeded: value), toByteOffset: offset, as: UInt16.self)
    case .unwanted, .u32, .u64, .located, .trailing: break
    }
  }

  private static func spoil(_ record: UnsafeMutableRawPointer) -> Outcome {
    record.storeBytes(of: UInt16(spoilt), as: UInt16.self)
    return .malformed
  }
}

// Events with texts: rare, and read twice, because how long a record is must be known before it is begun.
extension EventTranscoder {
  /// The longest record: the place of a text has 16 bits.
  private static let recordBytesMax = 1 << 16 - 1

  @inline(never)
  private func writeSlowly(_ head: EventHead, into writer: inout PageWriter) -> Outcome {
    var plan = layout.plan(ofSlot: head.slot)
    guard plan.pointee.bytes > 0 else { return .written }
    var named: Int?
    if head.slot == EventSlot.generic {
      let payload = UnsafeRawBufferPointer(start: head.payload.position, count: head.payload.remaining)
      guard let hash = GenericEvents.nameHash(payload) else { return .malformed }
      named = generic.position(ofHash: hash)
      if let named { plan = layout.plans + generic.events[named].planIndex }
    }
    var bytes = plan.pointee.bytes
    let isWhole = forEachValue(head.payload, plan, named) { place, value in
      if case .text(let text) = value, place.kind == .located || place.kind == .trailing {
        bytes += min(text.count, Self.recordBytesMax) + 1
      }
    }
    guard isWhole, bytes <= Self.recordBytesMax, let time = time(of: head) else { return .malformed }
    guard let record = writer.reserve(bytes, at: time) else {
      return writer.eventCount == 0 ? .malformed : .pageIsFull
    }
    Self.begin(record, head, plan)
    var end = plan.pointee.bytes
    _ = forEachValue(head.payload, plan, named) { place, value in
      switch value {
      case .number(let number): Self.store(number, place, record)
      case .text(let text): Self.append(text, place, record, &end)
      }
    }
    return .written
  }

  /// Writes a text behind the record's other parts, with a NUL behind it.
  private static func append(
    _ text: UnsafeRawBufferPointer, _ place: EventLayout.Place, _ record: UnsafeMutableRawPointer,
    _ end: inout Int
  ) {
    guard place.kind == .located || place.kind == .trailing else { return }
    if let start = text.baseAddress { (record + end).copyMemory(from: start, byteCount: text.count) }
    record.storeBytes(of: 0, toByteOffset: end + text.count, as: UInt8.self)
    if place.kind == .located {
      let location = UInt32(end) | UInt32(text.count + 1) << 16
      record.storeBytes(of: location, toByteOffset: Int(place.offset), as: UInt32.self)
    }
    end += text.count + 1
  }

  private enum Value {
    case number(UInt64)
    case text(UnsafeRawBufferPointer)
  }

  /// Calls `body` with each field that has a place; false where the event is malformed.
  private func forEachValue(
    _ payload: WireCursor, _ plan: Plan, _ named: Int?, _ body: (EventLayout.Place, Value) -> Void
  ) -> Bool {
    var message = WireMessage(
      UnsafeRawBufferPointer(start: payload.position, count: payload.remaining))
    while let field = message.next() {
      if let named {
        if field.number == 2 { visit(field.message, of: generic.events[named], body) }
      } else if field.number < UInt64(plan.pointee.placeCount) {
        let place = layout.places[plan.pointee.firstPlace + Int(field.number)]
        body(place, field.type == WireType.bytes ? .text(field.bytes) : .number(field.value))
      }
    }
    return !message.isMalformed
  }

  /// A field of a generic event: its name, and a text or a number.
  private func visit(
    _ message: WireMessage, of event: GenericEvents.Event, _ body: (EventLayout.Place, Value) -> Void
  ) {
    var message = message
    var place: EventLayout.Place?
    while let part = message.next() {
      switch part.number {
      case 1:
        let hash = part.bytes.baseAddress.map { GenericEvents.hash($0, part.bytes.count) }
        place = event.fields.firstIndex { $0.hash == hash }.map { event.places[$0] }
      case 3:
        if let place { body(place, .text(part.bytes)) }
      case 4, 5:
        if let place { body(place, .number(part.value)) }
      default: break
      }
    }
  }
}
