internal import Glibc

/// The kinds of event of one text: found by name for each line, described when a name is seen for the first time.
///
/// Events that are known here have their formats from `CanonicalFormats`; the first line of any other says what fields it has.
///
/// Invariant: `slots` has `slotCount` initialised elements and `events` room for `eventsMax`, of which `count` are initialised, until
/// deinit. Nothing changes once the survey is over.
final class TextEvents {
  /// An entry of the table of names: how long one is, its bytes with a colon and a space, and the position of the event plus one; 0
  /// where there is none.
  private struct Slot: BitwiseCopyable {
    var name: UnsafePointer<UInt8>?
    var nameBytes = 0
    var position = 0
  }

  /// The most kinds of event that are told apart: kernels have about two thousand.
  static let eventsMax = 4096
  private static let slotCount = 4 * eventsMax
  /// The longest name, in bytes.
  static let nameBytesMax = 128

  private let slots: UnsafeMutablePointer<Slot>
  private let events: UnsafeMutablePointer<TextEvent>
  private(set) var count = 0
  private let arena = TextArena()
  private var surveyed: [SurveyedEvent] = []
  /// The content of each event's format file.
  private(set) var formatTexts: [(system: String, text: String)] = []

  init() {
    slots = .allocate(capacity: Self.slotCount)
    slots.initialize(repeating: Slot(), count: Self.slotCount)
    events = .allocate(capacity: Self.eventsMax)
  }

  deinit {
    slots.deallocate()
    events.deallocate()
  }

  /// The event called `name`, as `RecentNames` keeps it; nil where that is not known.
  func entry(of name: TextCursor) -> RecentNames.Entry? {
    let slot = slot(of: name)
    guard slot.pointee.position > 0 else { return nil }
    return RecentNames.Entry(
      name: slot.pointee.name!, count: slot.pointee.nameBytes + 2, position: slot.pointee.position - 1)
  }

  subscript(position: Int) -> UnsafePointer<TextEvent> { UnsafePointer(events + position) }

  private func slot(of name: TextCursor) -> UnsafeMutablePointer<Slot> {
    var index = Self.hash(name) & (Self.slotCount - 1)
    while slots[index].position != 0 {
      if slots[index].nameBytes == name.count, memcmp(slots[index].name!, name.place, name.count) == 0 {
        break
      }
      index = (index + 1) & (Self.slotCount - 1)
    }
    return slots + index
  }

  private static func hash(_ name: TextCursor) -> Int {
    var hash = UInt64(truncatingIfNeeded: name.count)
    for byte in UnsafeBufferPointer(start: name.place, count: name.count) {
      hash = (hash ^ UInt64(byte)) &* 0x9e37_79b9_7f4a_7c15
    }
    return Int(truncatingIfNeeded: hash >> 32)
  }
}

extension TextEvents {
  /// Whether a line of an event has a say in what fields it has.
  func isOpen(_ position: Int) -> Bool { surveyed[position].isOpen }

  /// Takes in a line of an event that is described.
  @inline(__always)
  func survey(_ position: Int, _ text: TextCursor, _ slot: inout RecordSlot) {
    if surveyed[position].isInDoubt { prove(position, text, &slot) }
    if surveyed[position].isOpen { surveyed[position].vote(text) }
  }

  /// Takes in a line of the event `name`, so that there is a description of it. False where there are too many kinds of event.
  func survey(_ name: TextCursor, _ text: TextCursor, _ slot: inout RecordSlot) -> Bool {
    if let entry = entry(of: name) {
      survey(entry.position, text, &slot)
      return true
    }
    guard count < Self.eventsMax, name.count <= Self.nameBytesMax else { return false }
    let entry = self.slot(of: name)
    let bytes = Array(UnsafeBufferPointer(start: name.place, count: name.count))
    entry.pointee.name = arena.copy(TextCursor.padded(bytes + ": ".utf8))
    entry.pointee.nameBytes = name.count
    entry.pointee.position = count + 1
    surveyed.append(SurveyedEvent(name, firstText: text))
    if let known = surveyed[count].known {
      var formats = CanonicalFormats()
      let position = formats.position(ofKnown: known.name, system: known.system)!
      (events + count).initialize(
        to: TextEvent(
          formats.events[position], patterns: surveyed[count].patterns, isKnown: true, arena: arena))
      prove(count, text, &slot)
    }
    count += 1
    return true
  }

  /// Whether a known event is what its name says, as one readable line shows.
  private func prove(_ position: Int, _ text: TextCursor, _ slot: inout RecordSlot) {
    surveyed[position].isInDoubt = !events[position].read(text, tid: 0, into: &slot)
  }

  /// All lines have been seen: numbers are given, and known events of which no line can be read, as those of another architecture,
  /// are described by their text like unknown ones.
  func settle() {
    var formats = CanonicalFormats()
    for (position, event) in surveyed.enumerated() {
      guard let known = event.known, !event.isInDoubt else { continue }
      let format = formats.position(ofKnown: known.name, system: known.system)!
      events[position].id = formats.events[format].id
    }
    for (position, event) in surveyed.enumerated() where event.known == nil || event.isInDoubt {
      let before = formats.events.count
      let (fields, printFormat) = event.description
      var added = formats.add(event.system, event.name, fields, printFormat: printFormat)
      if formats.events.count == before {
        // Two names that differ in characters that none of the kernel's has.
        added = formats.add(event.system, "\(event.name)_\(position)", fields, printFormat: printFormat)
      }
      (events + position).initialize(
        to: TextEvent(formats.events[added], patterns: [], isKnown: event.isProbe, arena: arena))
    }
    formatTexts = formats.texts
    surveyed = []
  }
}
