/// The events that have the names of their fields in each of them (GenericFtraceEvent), as older recorders write what they have no
/// message for.
///
/// Names are told apart by a hash of 64 bits alone.
///
/// Invariant: `table` holds `tableCount` entries, a power of two, of which some are always free; an entry is a position in `events`
/// and one more, 0 where it is free. `fields` of an event are not changed once events are read.
final class GenericEvents {
  /// One kind of event, as its first event shows it.
  struct Event {
    let hash: UInt64
    let name: String
    var fields: [(hash: UInt64, field: CanonicalFormats.Field)] = []
    /// Of each field, once formats are made.
    var places: [EventLayout.Place] = []
    /// The event's plan, once formats are made.
    var planIndex = 0
  }

  /// So many kinds are told apart.
  static let eventsMax = 2048
  /// A kernel's event has no more fields.
  static let fieldsMax = 128
  private static let tableCount = 4 * eventsMax

  private(set) var events: [Event] = []
  private let table: UnsafeMutablePointer<UInt16>

  init() {
    table = .allocate(capacity: Self.tableCount)
    table.initialize(repeating: 0, count: Self.tableCount)
  }

  deinit { table.deallocate() }

  /// FNV-1a.
  @inline(__always)
  static func hash(_ start: UnsafeRawPointer, _ count: Int) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in 0..<count {
      hash = (hash ^ UInt64(start.load(fromByteOffset: index, as: UInt8.self))) &* 0x100_0000_01b3
    }
    return hash
  }

  /// The position of the event whose name has this hash.
  @inline(__always)
  func position(ofHash hash: UInt64) -> Int? {
    var probe = Int(truncatingIfNeeded: hash) & (Self.tableCount - 1)
    while table[probe] != 0 {
      let position = Int(table[probe]) - 1
      if events[position].hash == hash { return position }
      probe = (probe + 1) & (Self.tableCount - 1)
    }
    return nil
  }

  /// Takes in the name and the fields of an event, if they are new and can be believed.
  func note(_ payload: UnsafeRawBufferPointer) {
    guard let hash = Self.nameHash(payload), position(ofHash: hash) == nil, events.count < Self.eventsMax,
      let event = Self.describe(payload, hash)
    else { return }
    var probe = Int(truncatingIfNeeded: hash) & (Self.tableCount - 1)
    while table[probe] != 0 { probe = (probe + 1) & (Self.tableCount - 1) }
    events.append(event)
    table[probe] = UInt16(events.count)
  }

  /// The hash of an event's name; nil where it has none.
  @inline(__always)
  static func nameHash(_ payload: UnsafeRawBufferPointer) -> UInt64? {
    var cursor = WireCursor(payload)
    while !cursor.isAtEnd {
      guard let tag = cursor.varint() else { return nil }
      guard tag == 1 << 3 | WireType.bytes else {
        guard cursor.skipValue(ofType: tag & 7) else { return nil }
        continue
      }
      guard let count = cursor.varint() else { return nil }
      let begin = cursor.position
      return cursor.skip(count) ? hash(begin, Int(count)) : nil
    }
    return nil
  }

  private static func describe(_ payload: UnsafeRawBufferPointer, _ hash: UInt64) -> Event? {
    var message = WireMessage(payload)
    var name = ""
    var fields: [(hash: UInt64, field: CanonicalFormats.Field)] = []
    while let part = message.next() {
      switch part.number {
      case 1: name = PerfettoEvents.name(part.bytes) ?? ""
      case 2:
        guard let field = field(part.message), fields.count < fieldsMax,
          !fields.contains(where: { $0.hash == field.hash })
        else { continue }
        fields.append(field)
      default: break
      }
    }
    return name.isEmpty || message.isMalformed ? nil : Event(hash: hash, name: name, fields: fields)
  }

  private static func field(_ message: WireMessage) -> (hash: UInt64, field: CanonicalFormats.Field)? {
    var message = message
    var found: (hash: UInt64, name: String)?
    var field: CanonicalFormats.Field?
    while let part = message.next() {
      switch part.number {
      case 1:
        guard let name = PerfettoEvents.name(part.bytes) else { return nil }
        found = (part.bytes.baseAddress.map { hash($0, part.bytes.count) } ?? 0, name)
      case 3...5:
        let type: PerfettoEvents.FieldType = part.number == 3 ? .text : part.number == 4 ? .signed : .unsigned
        field = found.map { type.field($0.name) }
      default: break
      }
    }
    guard let found, let field else { return nil }
    return (found.hash, field)
  }

  /// Where the values of an event go.
  func place(_ position: Int, planIndex: Int, places: [EventLayout.Place]) {
    events[position].planIndex = planIndex
    events[position].places = places
  }
}
