internal import Glibc

/// What the text of an event looks like, in pieces that are matched one after another.
///
///     IPA: {ipa}                     the words as they are, and a hexadecimal number, with `0x` or without
///     {level#} {errno-}              a decimal number, perhaps with a sign; one of which the field holds the negative
///     {type=read 1,write 2}          a name that stands for a number; of several, or a number that has none
///     {flags|SPIN 0x1,READ 0x2}      such names with bars between them, or nothing
///     {name"}                        text, up to what follows
///     {}                             anything, up to what follows
///
/// A space stands for as many as there are, and numbers may have some before them.
///
/// Invariant: the pieces, and what they point to, are valid for as long as the `TextEvents` that made them.
struct LinePattern: BitwiseCopyable {
  /// A name and the number that it stands for.
  struct Name: BitwiseCopyable {
    /// Its bytes, with zeros up to a multiple of eight.
    var text: UnsafePointer<UInt8>
    var count: Int
    var value: UInt64
  }

  /// One piece.
  struct Piece: BitwiseCopyable {
    enum Kind: UInt8 { case words, hexadecimal, decimal, negative, name, flags, text, anything }

    var kind: Kind
    /// Where what is read goes; of words and anything nowhere.
    var place = FieldPlace(offset: 0, size: 0, isText: false)
    /// Of words the bytes, with zeros up to a multiple of eight.
    var words: UnsafePointer<UInt8>?
    var names: UnsafePointer<Name>?
    /// How many bytes or names there are.
    var count = 0
  }

  let pieces: UnsafePointer<Piece>
  let count: Int

  /// Whether the field at `place` is printed in hexadecimal digits.
  func isHexadecimal(_ place: FieldPlace) -> Bool {
    (0..<count).contains { pieces[$0].kind == .hexadecimal && pieces[$0].place.offset == place.offset }
  }

  /// Whether all of `text` is as the pattern says; what it holds goes into `slot`.
  @inline(__always)
  func match(_ text: TextCursor, into slot: inout RecordSlot) -> Bool {
    var cursor = text
    for index in 0..<count {
      let piece = pieces + index
      switch piece.pointee.kind {
      case .words: guard Self.take(&cursor, piece.pointee.words!, piece.pointee.count) else { return false }
      case .hexadecimal:
        cursor.skipSpaces()
        guard let value = cursor.hexadecimal() else { return false }
        slot.store(value, at: piece.pointee.place)
      case .decimal, .negative:
        guard let value = Self.decimal(&cursor), piece.pointee.place.holds(value) else { return false }
        slot.store(piece.pointee.kind == .negative ? 0 &- value : value, at: piece.pointee.place)
      case .name, .flags:
        guard let value = Self.named(&cursor, piece) else { return false }
        slot.store(value, at: piece.pointee.place)
      case .text, .anything:
        guard let part = part(&cursor, upTo: index + 1) else { return false }
        if piece.pointee.kind == .text { slot.store(text: part, at: piece.pointee.place) }
      }
    }
    cursor.skipSpaces()
    return cursor.isAtEnd
  }

  /// Takes words; a space in them stands for several.
  @inline(__always)
  private static func take(_ cursor: inout TextCursor, _ words: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    if cursor.begins(withPadded: words, count) {
      cursor.place += count
      if cursor.place[-1] == UInt8(ascii: " ") { cursor.skipSpaces() }
      return true
    }
    return takeSlowly(&cursor, words, count)
  }

  private static func takeSlowly(
    _ cursor: inout TextCursor, _ words: UnsafePointer<UInt8>, _ count: Int
  ) -> Bool {
    var index = 0
    while index < count {
      if words[index] == UInt8(ascii: " ") {
        let begin = cursor.place
        cursor.skipSpaces()
        guard cursor.place > begin || cursor.isAtEnd else { return false }
      } else {
        guard cursor.take(words[index]) else { return false }
      }
      index += 1
    }
    return true
  }

  private static func decimal(_ cursor: inout TextCursor) -> UInt64? {
    cursor.skipSpaces()
    let isNegative = cursor.take(UInt8(ascii: "-"))
    return cursor.decimal().map { isNegative ? 0 &- $0 : $0 }
  }

  /// The number that a name, or names with bars between them, stand for.
  @inline(__always)
  private static func named(_ cursor: inout TextCursor, _ piece: UnsafePointer<Piece>) -> UInt64? {
    var value: UInt64 = 0
    let isSet = piece.pointee.kind == .flags
    repeat {
      if let name = name(&cursor, piece) {
        value |= name
      } else if piece.pointee.count > 1, TextCursor.isDigit(cursor.byte), let number = cursor.number() {
        value |= number
      } else if !isSet {
        return nil
      }
    } while isSet && cursor.take(UInt8(ascii: "|"))
    return value
  }

  @inline(__always)
  private static func name(_ cursor: inout TextCursor, _ piece: UnsafePointer<Piece>) -> UInt64? {
    for index in 0..<piece.pointee.count {
      let name = piece.pointee.names! + index
      let count = name.pointee.count
      guard begins(cursor, with: name), !TextCursor.isWord(cursor.byte(after: count)) || count == 1 else {
        continue
      }
      cursor.place += count
      return name.pointee.value
    }
    return nil
  }

  @inline(__always)
  private static func begins(_ cursor: TextCursor, with name: UnsafePointer<Name>) -> Bool {
    let count = name.pointee.count
    if cursor.count >= (count &+ 7) & ~7 { return cursor.begins(withPadded: name.pointee.text, count) }
    return cursor.count >= count && memcmp(cursor.place, name.pointee.text, count) == 0
  }

  /// What stands before the piece at `index`, which is words, or before the end.
  private func part(_ cursor: inout TextCursor, upTo index: Int) -> TextCursor? {
    var part = cursor
    if index == count {
      cursor.place = cursor.end
      return part
    }
    let next = pieces + index
    let (words, first) = (next.pointee.words!, next.pointee.words![0])
    while !cursor.isAtEnd {
      var ahead = cursor
      if cursor.byte == first || first == UInt8(ascii: " "), Self.take(&ahead, words, next.pointee.count) {
        part.end = cursor.place
        return part
      }
      // Where the words begin with a space, they do so at the first of several.
      let begin = cursor.place
      cursor.skipSpaces()
      if cursor.place == begin { cursor.place += 1 }
    }
    return nil
  }
}
