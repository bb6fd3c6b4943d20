/// The value of one field of one event.
public enum FieldValue: Hashable, Sendable, CustomStringConvertible {
  /// A signed integer.
  case signed(Int64)
  /// An unsigned integer or a pointer.
  case unsigned(UInt64)
  /// Text, or the bytes of an array in hexadecimal.
  case text(String)
  /// The event's data ends before the field.
  case missing

  /// The value as text.
  public var description: String {
    switch self {
    case .signed(let value): String(value)
    case .unsigned(let value): String(value)
    case .text(let text): text
    case .missing: ""
    }
  }
}

extension EventFormats {
  /// The value of `field` in an event's data.
  public func value(of field: EventFormat.Field, in payload: UnsafeRawBufferPointer) -> FieldValue {
    // An array without a size, such as that of ftrace:print, reaches to the end of the event.
    let size = field.size == 0 && field.isString ? payload.count - field.offset : field.size
    guard field.offset >= 0, size > 0, field.offset + size <= payload.count else { return .missing }
    if field.isScalar {
      let value = integer(payload, field.offset, field.size)
      guard field.isSigned else { return .unsigned(value) }
      let unused = UInt64(64 - 8 * field.size)
      return .signed(Int64(bitPattern: value << unused) >> Int64(unused))
    }
    var bytes = UnsafeRawBufferPointer(rebasing: payload[field.offset..<(field.offset + size)])
    if field.isDynamic, field.size == 4 {
      let location = integer(payload, field.offset, 4)
      let begin = Int(location & 0xffff) + (field.isRelative ? field.offset + field.size : 0)
      let length = Int(location >> 16)
      guard begin + length <= payload.count else { return .missing }
      bytes = UnsafeRawBufferPointer(rebasing: payload[begin..<(begin + length)])
    }
    if field.isString {
      return .text(String(decoding: bytes.prefix(while: { $0 != 0 }), as: UTF8.self))
    }
    return .text(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
  }

  func integer(_ bytes: UnsafeRawBufferPointer, _ offset: Int, _ size: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<size {
      let place = isBigEndian ? index : size - 1 - index
      value = value << 8 | UInt64(bytes[offset + place])
    }
    return value
  }
}
