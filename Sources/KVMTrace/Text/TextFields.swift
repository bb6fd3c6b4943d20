internal import Glibc

/// Fields that a text tells as `name=value`, in the order in which it tells them: probes, `trace-cmd report -R`, the kernel's option
/// `fields`, and whatever events print so of themselves.
///
///     (kvm_age_gfn+0x4/0x218) kvm=0xffff0000c41a6000 start=262238 end=262239
///     (kvm_age_gfn+0x4/0x218 <- kvm_handle_hva_range+0x1a0/0x380) ret=0
///     vcpu_pc=0x0 (0) should_fire=(0)
///
/// Invariant: `fields` has `count` elements, which, with their names, are valid for as long as the `TextEvents` that made them.
struct TextFields: BitwiseCopyable {
  /// A field.
  struct Field: BitwiseCopyable {
    var name: UnsafePointer<UInt8>
    var nameBytes: Int
    var place: FieldPlace
    /// Whether a number is hexadecimal without `0x`, too: trace-cmd report -R prints fields as their print format does.
    var isHexadecimal = false
  }

  /// A name and where its value begins.
  struct Pair: BitwiseCopyable {
    var name: TextCursor
    var value: TextCursor
  }

  let fields: UnsafePointer<Field>
  let count: Int

  /// Whether `text` begins with the first field's name and `=`.
  func begin(_ text: TextCursor) -> Bool {
    guard count > 0, text.byte(after: fields[0].nameBytes) == UInt8(ascii: "=") else { return false }
    return memcmp(text.place, fields[0].name, fields[0].nameBytes) == 0
  }

  /// What a text tells of the fields.
  struct Found {
    /// How many of them it has.
    var count = 0
    /// Whether something stands behind the first of them that is no field of any event, as where the end of a line is lost.
    var isBeforeOthers = false
  }

  /// Reads the values of `text` into `slot`.
  func read(_ text: TextCursor, into slot: inout RecordSlot) -> Found {
    var cursor = text
    var expected = 0
    var result = Found()
    var words = 0
    // A tool may complain before the first field, and a text without quotation marks have spaces.
    var isOpen = true
    while let pair = Self.pair(&cursor, passing: &words) {
      if words > 0, !isOpen { result.isBeforeOthers = true }
      words = 0
      guard let index = self.index(of: pair.name, from: expected) else {
        cursor.skipWord()
        continue
      }
      let (place, isHexadecimal) = (fields[index].place, fields[index].isHexadecimal)
      cursor = pair.value
      if place.isText {
        slot.store(text: Self.text(&cursor, isLast: place.size == 0), at: place)
        result.count += 1
      } else if let value = Self.number(&cursor, isHexadecimal: isHexadecimal),
        isHexadecimal || place.holds(value)
      {
        slot.store(value, at: place)
        result.count += 1
      }
      isOpen = place.isText
      expected = index + 1
    }
    if words > 0, !isOpen { result.isBeforeOthers = true }
    return result
  }

  /// The next `name=` of a line; `cursor` goes on to the value. What is none is passed over.
  static func pair(_ cursor: inout TextCursor) -> Pair? {
    var words = 0
    return pair(&cursor, passing: &words)
  }

  /// The same; `words` grows by the number of words that are passed over, what stands in brackets apart.
  private static func pair(_ cursor: inout TextCursor, passing words: inout Int) -> Pair? {
    while true {
      cursor.skipSpaces()
      if cursor.isAtEnd { return nil }
      if cursor.byte == UInt8(ascii: "(") {
        _ = cursor.skip(behind: UInt8(ascii: ")"))
        continue
      }
      var name = cursor
      while TextCursor.isWord(cursor.byte) { cursor.place += 1 }
      name.end = cursor.place
      if !name.isAtEnd, cursor.take(UInt8(ascii: "=")) { return Pair(name: name, value: cursor) }
      cursor.skipWord()
      words += 1
    }
  }

  /// The number that a value is; nil where it is none.
  private static func number(_ cursor: inout TextCursor, isHexadecimal: Bool) -> UInt64? {
    _ = cursor.take(UInt8(ascii: "("))
    let value = isHexadecimal ? cursor.hexadecimal() : cursor.number()
    let isWhole = cursor.isAtEnd || cursor.byte == UInt8(ascii: " ") || cursor.byte == UInt8(ascii: ")")
    cursor.skipWord()
    return isWhole ? value : nil
  }

  /// The text that a value is: up to the next space, or what stands in quotation marks.
  private static func text(_ cursor: inout TextCursor, isLast: Bool) -> TextCursor {
    var text = cursor
    if isLast {
      cursor.place = cursor.end
    } else if cursor.take(UInt8(ascii: "\"")) {
      text.place = cursor.place
      let isClosed = cursor.skip(behind: UInt8(ascii: "\""))
      text.end = isClosed ? cursor.place - 1 : cursor.place
    } else {
      cursor.skipWord()
      text.end = cursor.place
    }
    return text
  }

  /// The field of that name; those from `expected` on are tried first.
  private func index(of name: TextCursor, from expected: Int) -> Int? {
    for step in 0..<count {
      var index = expected + step
      if index >= count { index -= count }
      let field = fields + index
      if field.pointee.nameBytes == name.count, memcmp(field.pointee.name, name.place, name.count) == 0 {
        return index
      }
    }
    return nil
  }
}
