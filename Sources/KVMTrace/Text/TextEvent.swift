/// One kind of event of a text: how its text becomes a record.
///
/// Invariant: what it points to is valid for as long as the `TextEvents` that made it.
struct TextEvent: BitwiseCopyable {
  /// The number that its records carry.
  var id: UInt16
  /// How long a record is, texts apart, in bytes.
  var bytes: Int
  /// How it is printed: the first of `patternCount` patterns.
  var patterns: UnsafePointer<LinePattern>
  var patternCount: Int
  /// Its fields, for texts that tell them by name; of a known event without its texts, which few such texts tell.
  var fields: TextFields
  /// Whether a text without all fields is unreadable: so are those of events that a replay may read.
  var needsAll: Bool
  /// Whether its text may hold anything, so that a further line is in it where the end of its own is lost.
  var isOpen: Bool
  /// Where the whole text goes, of an event that is nothing but that.
  var wholeText: FieldPlace?

  /// Makes a record of `text`; false where it cannot be read.
  @inline(__always)
  func read(_ text: TextCursor, tid: Int32, into slot: inout RecordSlot) -> Bool {
    slot.begin(bytes, id: id, tid: tid)
    if patternCount > 0, !fields.begin(text) {
      var text = text
      // The kvm plugin of libtraceevent looks for x86's fields, says that it has not found them, and prints what arm64 has behind that.
      if text.byte == UInt8(ascii: "<") || text.byte == UInt8(ascii: "C") {
        while Self.takeComplaint(&text) {}
      }
      for index in 0..<patternCount {
        if patterns[index].match(text, into: &slot) { return true }
        slot.begin(bytes, id: id, tid: tid)
      }
    }
    return readByName(text, into: &slot)
  }

  private func readByName(_ text: TextCursor, into slot: inout RecordSlot) -> Bool {
    if let wholeText {
      slot.store(text: text, at: wholeText)
      return true
    }
    let found = fields.read(text, into: &slot)
    return !needsAll || (fields.count > 0 && found.count >= fields.count && !found.isBeforeOthers)
  }

  /// Takes `CAN'T FIND FIELD "vcpu_id"` or `<CANT FIND FIELD rip>`.
  private static func takeComplaint(_ cursor: inout TextCursor) -> Bool {
    cursor.skipSpaces()
    var ahead = cursor
    if ahead.take("<CANT FIND FIELD ") {
      guard ahead.skip(behind: UInt8(ascii: ">")) else { return false }
    } else {
      guard ahead.take("CAN'T FIND FIELD \""), ahead.skip(behind: UInt8(ascii: "\"")) else { return false }
    }
    cursor = ahead
    return true
  }
}

extension TextEvent {
  /// An event with the layout of `event`.
  ///
  /// - Parameters:
  ///   - patterns: how kernels print it, in the language of `LinePattern`.
  ///   - isKnown: whether a text without all of its fields is unreadable.
  init(_ event: CanonicalFormats.Event, patterns: [String], isKnown: Bool, arena: TextArena) {
    var fields: [TextFields.Field] = []
    var places: [String: FieldPlace] = [:]
    for (field, offset) in zip(event.fields, event.offsets) {
      let isText = field.type.hasSuffix("[]")
      let place = FieldPlace(
        offset: UInt16(truncatingIfNeeded: offset), size: UInt8(truncatingIfNeeded: field.size),
        isText: isText)
      places[field.name] = place
      let name = Array(field.name.utf8)
      fields.append(TextFields.Field(name: arena.copy(name), nameBytes: name.count, place: place))
    }
    let compiled = patterns.map { LinePattern($0, places: places, arena: arena) }
    for index in fields.indices {
      fields[index].isHexadecimal = compiled.contains { $0.isHexadecimal(fields[index].place) }
    }
    let isWholeText =
      event.fields.count == 1 && event.fields[0].name == SurveyedEvent.wholeText && patterns.isEmpty
    self.init(
      id: event.id, bytes: event.bytes, patterns: arena.copy(compiled), patternCount: compiled.count,
      fields: TextFields(fields: arena.copy(fields), count: fields.count), needsAll: isKnown,
      isOpen: !isKnown || fields.contains(where: \.place.isText),
      wholeText: isWholeText ? fields[0].place : nil)
  }
}
