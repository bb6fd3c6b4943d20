/// Which events a trace has, and how their records are laid out: those with messages of Perfetto's own, and those that the trace
/// describes.
///
/// Invariant: `seen` holds `EventSlot.count` flags until deinit.
final class PerfettoEvents {
  /// An event as a bundle describes it.
  private struct Description: Equatable {
    let system: String
    let name: String
    /// The fields with their numbers.
    let fields: [Numbered]
  }

  private struct Numbered: Equatable {
    let number: Int
    let name: String
    let type: FieldType
  }

  /// The types that a field that is described can have.
  enum FieldType {
    case signed
    case unsigned
    case text

    /// The address of a lock, in place of which the recorder writes a number of its own: it is not to be taken for one.
    static let lockNumber = "lock_number"

    /// A field of this type.
    func field(_ name: String) -> CanonicalFormats.Field {
      let name = name == "lock_addr" ? Self.lockNumber : name
      return switch self {
      case .signed: CanonicalFormats.Field(type: "s64", name: name, size: 8, isSigned: true)
      case .unsigned: CanonicalFormats.Field(type: "u64", name: name, size: 8, isSigned: false)
      case .text: CanonicalFormats.Field(type: "__data_loc char[]", name: name, size: 4, isSigned: false)
      }
    }
  }

  /// The longest name that is believed, in bytes.
  private static let nameBytesMax = 128
  /// The greatest number of a field that is believed: the kernel's events have fewer fields.
  private static let fieldNumberMax = 128

  /// Of each slot whether there is such an event.
  let seen: UnsafeMutablePointer<Bool>
  let generic = GenericEvents()
  private var described: [Int: Description] = [:]
  /// The slots of which it was told that they are described in two ways.
  private var redescribed: Set<Int> = []
  /// The systems and names of events that the recorder was asked for, as `kvm/*`, `kvm/kvm_entry` or `kvm_entry`.
  private var wanted: Set<String> = []
  /// Events that the recorder could not record though it was asked for them.
  private var refused: Set<String> = []

  init() {
    seen = .allocate(capacity: EventSlot.count)
    seen.initialize(repeating: false, count: EventSlot.count)
  }

  deinit { seen.deallocate() }

  /// Whether the trace says which events the recorder was asked for.
  var isListed: Bool { !wanted.isEmpty }

  /// The recorder was asked for the events of this name.
  func want(_ name: String) {
    if wanted.count < EventSlot.count { wanted.insert(name) }
  }

  /// The recorder said that it could not record this event.
  func refuse(_ name: String) {
    if refused.count < EventSlot.count { refused.insert(name) }
  }

  /// A name as the kernel's are, of letters, digits and `_`; nil for any other.
  static func name(_ bytes: UnsafeRawBufferPointer) -> String? {
    guard (1...nameBytesMax).contains(bytes.count), bytes.allSatisfy(FormatSource.isWord) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Takes in what a bundle says of an event (GenericEventDescriptor). Returns what is wrong with it.
  func describe(_ message: WireMessage) -> String? {
    var message = message
    var (slot, system) = (EventSlot.none, "generic")
    var descriptor: WireMessage?
    while let part = message.next() {
      switch part.number {
      case 1: slot = EventSlot.slot(ofNumber: part.value)
      case 2: descriptor = part.message
      case 3: system = Self.name(part.bytes) ?? system
      default: break
      }
    }
    guard slot >= EventSlot.messageCount, let descriptor,
      let description = Self.description(descriptor, system)
    else { return "the description of an event cannot be read" }
    if let known = described[slot] {
      return known == description || !redescribed.insert(slot).inserted
        ? nil
        : "the event \(system):\(description.name) has the number of \(known.system):\(known.name), or other fields than before"
    }
    described[slot] = description
    return nil
  }

  /// Reads a DescriptorProto.
  private static func description(_ message: WireMessage, _ system: String) -> Description? {
    var message = message
    var name: String?
    var fields: [Numbered] = []
    while let part = message.next() {
      switch part.number {
      case 1: name = Self.name(part.bytes)
      case 2:
        guard let field = numbered(part.message), fields.count < fieldNumberMax,
          !fields.contains(where: { $0.name == field.name || $0.number == field.number })
        else { continue }
        fields.append(field)
      default: break
      }
    }
    guard let name, !message.isMalformed else { return nil }
    return Description(system: system, name: name, fields: fields)
  }

  /// Reads a FieldDescriptorProto; nil where the field is none that a record can hold.
  private static func numbered(_ message: WireMessage) -> Numbered? {
    var message = message
    var (name, number, type) = (String?.none, UInt64(0), UInt64(0))
    while let part = message.next() {
      switch part.number {
      case 1: name = Self.name(part.bytes)
      case 3: number = part.value
      case 5: type = part.value
      default: break
      }
    }
    guard let name, (1...UInt64(fieldNumberMax)).contains(number), let known = fieldType(type) else {
      return nil
    }
    return Numbered(number: Int(number), name: name, type: known)
  }

  /// FieldDescriptorProto.Type.
  private static func fieldType(_ number: UInt64) -> FieldType? {
    switch number {
    case 3, 5, 14: .signed
    case 4, 8, 13: .unsigned
    case 9, 12: .text
    default: nil
    }
  }
}

extension PerfettoEvents {
  /// The formats of all events that there are or can be, and how their records are made. `formats` holds those formats afterwards.
  ///
  /// - Returns: with the layout, the positions in `formats` of the events of which nothing but their number is known.
  func layout(_ formats: inout CanonicalFormats) -> (layout: EventLayout, nameless: Set<Int>) {
    var builder = Builder(formats: formats)
    var indices = [UInt16](repeating: 0, count: EventSlot.count)
    builder.addNone(isSeen: seen[EventSlot.none] || seen[EventSlot.generic])
    let messages = Dictionary(uniqueKeysWithValues: Self.messages.map { ($0.number, $0) })
    for slot in 1..<EventSlot.count where slot != EventSlot.generic {
      if let message = messages[slot], seen[slot] || isWanted(message.system, message.name) {
        indices[slot] = builder.add(message)
      } else if let event = described[slot] {
        let fields = event.fields.map { (number: $0.number, field: $0.type.field($0.name)) }
        indices[slot] = builder.add(event.system, event.name, fields)
      } else if seen[slot] {
        indices[slot] = builder.addNameless("event_\(EventSlot.number(ofSlot: slot))")
      }
    }
    for position in generic.events.indices {
      let event = generic.events[position]
      let fields = event.fields.enumerated().map { (number: $0, field: $1.field) }
      let index = builder.add(system(ofGeneric: event.name), event.name, fields)
      generic.place(position, planIndex: Int(index), places: builder.events[Int(index)].places)
    }
    for known in CanonicalFormats.known where isWanted(known.system, known.name) {
      _ = builder.formats.position(ofKnown: known.name, system: known.system)
    }
    formats = builder.formats
    return (EventLayout(indices: indices, events: builder.events), builder.nameless)
  }

  /// Whether the recorder was asked for an event, so that there was none where none is recorded.
  private func isWanted(_ system: String, _ name: String) -> Bool {
    let names = [name, "\(system)/\(name)"]
    return (names + ["\(system)/*"]).contains(where: wanted.contains)
      && !names.contains(where: refused.contains)
  }

  /// A generic event does not say its system: what is known, or asked for by its name, tells.
  private func system(ofGeneric name: String) -> String {
    if let known = CanonicalFormats.known.first(where: { $0.name == name }) { return known.system }
    let asked = wanted.filter { $0.hasSuffix("/\(name)") }.min()
    return asked.map { String($0.dropLast(name.utf8.count + 1)) }.flatMap { system in
      system.utf8.allSatisfy(FormatSource.isWord) ? system : nil
    } ?? "generic"
  }

  /// Puts formats and plans together.
  private struct Builder {
    var formats: CanonicalFormats
    var events: [(plan: EventLayout.Plan, places: [EventLayout.Place])] = []
    var nameless: Set<Int> = []

    /// The plan of events that have no number; their records have no bytes where there is none such.
    mutating func addNone(isSeen: Bool) {
      if isSeen {
        _ = addNameless("event")
      } else {
        events.append(
          (EventLayout.Plan(head: 0, bytes: 0, firstPlace: 0, placeCount: 0, hasTexts: false), []))
      }
    }

    mutating func addNameless(_ name: String) -> UInt16 {
      let position = formats.add("perfetto", name, [])
      nameless.insert(position)
      return append(position, [])
    }

    mutating func add(_ message: Message) -> UInt16 {
      let position =
        formats.position(
          ofKnown: message.name, system: message.system, with: message.fields.map(\.name),
          printFormat: PerfettoEvents.printFormats[message.name])
        ?? formats.add(message.system, message.name, message.fields.map { Self.field($0.name, $0.type!) })
      return append(position, message.fields.enumerated().map { ($0 + 1, $1.name) })
    }

    mutating func add(
      _ system: String, _ name: String, _ fields: [(number: Int, field: CanonicalFormats.Field)]
    ) -> UInt16 {
      let hasLockNumber = fields.contains { $0.field.name == FieldType.lockNumber }
      let known = hasLockNumber ? nil : formats.position(ofKnown: name, system: system)
      let position = known ?? formats.add(system, name, fields.map(\.field))
      return append(position, fields.map { ($0.number, $0.field.name) })
    }

    /// A field of this program's own table.
    private static func field(_ name: String, _ type: String) -> CanonicalFormats.Field {
      let bits = Int(type.dropFirst())!
      return CanonicalFormats.Field(type: type, name: name, size: bits / 8, isSigned: type.hasPrefix("s"))
    }

    /// Appends the plan of the event at `position`, some of whose fields have numbers; all others are 0.
    private mutating func append(_ position: Int, _ fields: [(number: Int, name: String)]) -> UInt16 {
      let event = formats.events[position]
      var places = [EventLayout.Place](
        repeating: EventLayout.Place(), count: (fields.map(\.number).max() ?? -1) + 1)
      for (number, name) in fields {
        guard let index = event.fields.firstIndex(where: { $0.name == name }) else { continue }
        places[number] = EventLayout.Place(
          kind: Self.kind(of: event.fields[index]), offset: UInt16(event.offsets[index]))
      }
      let hasTexts = places.contains { $0.kind == .located || $0.kind == .trailing }
      events.append(
        (
          EventLayout.Plan(
            head: UInt64(event.id), bytes: event.bytes, firstPlace: 0, placeCount: 0, hasTexts: hasTexts),
          places
        ))
      return UInt16(events.count - 1)
    }

    private static func kind(of field: CanonicalFormats.Field) -> EventLayout.Place.Kind {
      if field.type.hasPrefix("__data_loc") { return .located }
      switch field.size {
      case 1: return .u8
      case 2: return .u16
      case 4: return .u32
      case 8: return .u64
      default: return .trailing
      }
    }
  }
}
