/// Reads the wire format of Protocol Buffers: tags, varints and lengths, each checked against the message's end.
///
/// Invariant: `position ... end + slackBytes` is readable, so that a varint is loaded eight bytes at a time without asking how many
/// are left; whether it ended inside the message is checked afterwards.
struct WireCursor {
  /// So many bytes behind every message are readable, whatever they hold.
  static let slackBytes = 16

  private(set) var position: UnsafeRawPointer
  let end: UnsafeRawPointer

  /// - Parameter bytes: a message, with `slackBytes` behind it.
  @inline(__always)
  init(_ position: UnsafeRawPointer, end: UnsafeRawPointer) {
    self.position = position
    self.end = end
  }

  /// A cursor over bytes that have `slackBytes` behind them.
  init(_ bytes: UnsafeRawBufferPointer) {
    let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
    self.init(start, end: start + bytes.count)
  }

  @inline(__always)
  var isAtEnd: Bool { position >= end }
  @inline(__always)
  var remaining: Int { end - position }

  /// The next varint; nil where it runs past the end, or is longer than 64 bits are.
  @inline(__always)
  mutating func varint() -> UInt64? {
    let word = position.loadUnaligned(as: UInt64.self)
    if word & 0x80 == 0 {
      position += 1
      return position <= end ? word & 0x7f : nil
    }
    if word & 0x8000 == 0 {
      position += 2
      return position <= end ? word & 0x7f | word &>> 1 & 0x3f80 : nil
    }
    let stops = ~word & 0x8080_8080_8080_8080
    guard stops != 0 else { return longVarint(word) }
    position += (stops.trailingZeroBitCount &+ 1) / 8
    return position <= end ? Self.joined(word & (stops ^ (stops &- 1))) : nil
  }

  /// A varint of nine or ten bytes, as addresses of the kernel take.
  @inline(__always)
  private mutating func longVarint(_ word: UInt64) -> UInt64? {
    let tail = UInt64((position + 8).loadUnaligned(as: UInt16.self))
    guard tail & 0x8080 != 0x8080 else { return nil }
    let isTen = tail & 0x80 != 0
    position += isTen ? 10 : 9
    guard position <= end else { return nil }
    let upper = (tail & 0x7f) << 56 | (isTen ? (tail >> 8) << 63 : 0)
    return Self.joined(word) | upper
  }

  /// The seven lower bits of each byte, put together.
  @inline(__always)
  private static func joined(_ bytes: UInt64) -> UInt64 {
    var bits = bytes & 0x7f7f_7f7f_7f7f_7f7f
    bits = (bits & 0x007f_007f_007f_007f) | (bits & 0x7f00_7f00_7f00_7f00) >> 1
    bits = (bits & 0x0000_3fff_0000_3fff) | (bits & 0x3fff_0000_3fff_0000) >> 2
    return (bits & 0x0fff_ffff) | (bits & 0x0fff_ffff_0000_0000) >> 4
  }

  /// Steps over `byte` if it is the next one.
  @inline(__always)
  mutating func takes(_ byte: UInt8) -> Bool {
    guard position < end, position.load(as: UInt8.self) == byte else { return false }
    position += 1
    return true
  }

  /// Steps over a byte that is there.
  @inline(__always)
  mutating func step() { position += 1 }

  /// Steps over `count` bytes; false where the message ends before.
  @inline(__always)
  mutating func skip(_ count: UInt64) -> Bool {
    guard count <= UInt64(bitPattern: Int64(remaining)) else { return false }
    position += Int(truncatingIfNeeded: count)
    return true
  }

  /// Steps over the value of a field that is not wanted; false where it cannot be one.
  @inline(__always)
  mutating func skipValue(ofType type: UInt64) -> Bool {
    switch type {
    case WireType.varint: return varint() != nil
    case WireType.fixed64: return skip(8)
    case WireType.bytes:
      guard let count = varint() else { return false }
      return skip(count)
    case WireType.fixed32: return skip(4)
    default: return false
    }
  }
}

/// How a field's value is stored: the lower three bits of its tag.
enum WireType {
  static let varint: UInt64 = 0
  static let fixed64: UInt64 = 1
  static let bytes: UInt64 = 2
  static let fixed32: UInt64 = 5
}

/// The fields of a message, one after another, where a few of a message's are wanted and time is not short.
struct WireMessage {
  /// A field: its number and its value.
  struct Field {
    let number: UInt64
    let type: UInt64
    /// A varint's value, or that of a fixed field; 0 of one with bytes.
    let value: UInt64
    /// The bytes of a message, a text or a packed array, with `WireCursor.slackBytes` behind them.
    let bytes: UnsafeRawBufferPointer

    /// A 32-bit or a 64-bit integer with a sign.
    var signed: Int64 { Int64(bitPattern: value) }
    /// The bytes as text; what is no UTF-8 is replaced.
    var text: String { String(decoding: bytes, as: UTF8.self) }
    /// The message that the field is.
    var message: WireMessage { WireMessage(bytes) }
  }

  private var cursor: WireCursor
  /// Whether the end is not the message's own: the file ends there.
  private let isCut: Bool
  /// Whether what was read last is not as a message must be.
  private(set) var isMalformed = false

  /// - Parameter isCut: whether the last field may run past the end, of which then what is there is handed out.
  init(_ bytes: UnsafeRawBufferPointer, isCut: Bool = false) {
    cursor = WireCursor(bytes)
    self.isCut = isCut
  }

  /// The next field; nil at the end, and where no field can be read.
  mutating func next() -> Field? {
    guard !isMalformed, !cursor.isAtEnd else { return nil }
    guard let field = read() else {
      isMalformed = !isCut
      return nil
    }
    return field
  }

  private mutating func read() -> Field? {
    guard let tag = cursor.varint(), tag >> 3 > 0 else { return nil }
    let (number, type) = (tag >> 3, tag & 7)
    let none = UnsafeRawBufferPointer(start: cursor.end, count: 0)
    switch type {
    case WireType.varint:
      return cursor.varint().map { Field(number: number, type: type, value: $0, bytes: none) }
    case WireType.fixed64, WireType.fixed32:
      let (position, size) = (cursor.position, type == WireType.fixed64 ? UInt64(8) : 4)
      guard cursor.skip(size) else { return nil }
      let value = position.loadUnaligned(as: UInt64.self)
      return Field(number: number, type: type, value: size == 8 ? value : value & 0xffff_ffff, bytes: none)
    case WireType.bytes:
      guard var count = cursor.varint() else { return nil }
      if isCut { count = min(count, UInt64(cursor.remaining)) }
      let begin = cursor.position
      guard cursor.skip(count) else { return nil }
      return Field(
        number: number, type: type, value: 0, bytes: UnsafeRawBufferPointer(start: begin, count: Int(count)))
    default: return nil
    }
  }
}
