/// Tells whether packets begin at a place of a file, where damage leaves that open.
///
/// How much is looked at is bounded for the whole file, so that one made of what only looks like packets is soon done with.
struct PacketProbe: ~Copyable {
  /// How much is read at once.
  private static let pieceBytes = 4096
  /// So many packets must follow one another, or end the file.
  private static let chainLength = 3
  /// A packet has no more fields.
  private static let fieldsMax = 256
  /// So many tags are looked at, of the whole file.
  private static let tagsMax = 1 << 20
  /// A field's tag and length are no longer.
  private static let headBytesMax = 20

  private let file: FileBytes
  private var window: PaddedWindow
  private var tagsLeft = Self.tagsMax

  init(_ file: FileBytes) {
    self.file = file
    window = PaddedWindow(file, pieceBytes: Self.pieceBytes)
  }

  var isExhausted: Bool { tagsLeft <= 0 }

  /// Whether one packet begins at `offset`, whose fields fill it; or whether the file ends inside a packet that may begin there.
  mutating func beginsPacket(at offset: Int) -> Bool {
    guard let end = endOfPacket(at: offset, allowsCut: true) else { return false }
    return end <= file.count
  }

  /// Whether a row of packets begins at `offset`.
  mutating func beginsPackets(at offset: Int) -> Bool {
    var position = offset
    for length in 1...Self.chainLength {
      guard let end = endOfPacket(at: position, allowsCut: length > 1) else { return false }
      if end == file.count { return length > 1 }
      position = end
    }
    return true
  }

  /// Where the packet at `offset` ends; nil where there is none.
  private mutating func endOfPacket(at offset: Int, allowsCut: Bool) -> Int? {
    guard let head = tagAndLength(at: offset), head.tag == UInt64(PacketReader.tag), head.length > 0 else {
      return nil
    }
    let isCut = head.length > UInt64(file.count - head.end)
    if isCut, !allowsCut { return nil }
    let end = isCut ? file.count : head.end + Int(head.length)
    var position = head.end
    var fields = 0
    while position < end {
      guard fields < Self.fieldsMax, let field = tagAndLength(at: position), Self.isOfPacket(field.tag) else {
        return isCut && fields > 0 ? end : nil
      }
      fields += 1
      guard field.end <= end, field.length <= UInt64(end - field.end) else {
        return isCut && position < end ? end : nil
      }
      position = field.end + Int(field.length)
    }
    return end
  }

  /// A field's tag, where its value begins, and how many bytes are left of that.
  private mutating func tagAndLength(at offset: Int) -> (tag: UInt64, end: Int, length: UInt64)? {
    tagsLeft -= 1
    guard tagsLeft > 0, offset < file.count,
      let bytes = window.bytes(at: offset, atLeast: min(Self.headBytesMax, file.count - offset))
    else { return nil }
    var cursor = WireCursor(bytes)
    guard let tag = cursor.varint() else { return nil }
    var length: UInt64 = 0
    switch tag & 7 {
    case WireType.varint, WireType.bytes:
      guard let value = cursor.varint() else { return nil }
      if tag & 7 == WireType.bytes { length = value }
    case WireType.fixed64: length = 8
    case WireType.fixed32: length = 4
    default: return nil
    }
    return (tag, offset + (cursor.position - bytes.baseAddress!), length)
  }

  /// Whether the fields of a packet fill it, and can be a packet's.
  static func isWhole(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var cursor = WireCursor(bytes)
    var messages = 0
    while !cursor.isAtEnd {
      guard let tag = cursor.varint(), isOfPacket(tag), cursor.skipValue(ofType: tag & 7) else {
        return false
      }
      if isMessage(tag >> 3) { messages += 1 }
    }
    // Of those, a packet has one: where events seem to be fields of a packet, the length of their bundle is damaged.
    return messages <= 1
  }

  /// Whether the field with this number is one of the first of those of which a packet has one only.
  private static func isMessage(_ number: UInt64) -> Bool {
    switch number {
    case 1, 2, 4, 5, 6, 7, 9, 11: true
    default: false
    }
  }

  /// Whether TracePacket can have a field with this tag. Of its first fields it is known what they hold.
  private static func isOfPacket(_ tag: UInt64) -> Bool {
    let (number, type) = (tag >> 3, tag & 7)
    if isMessage(number) || number == 12 { return type == WireType.bytes }
    switch number {
    case 3, 8, 10, 13: return type == WireType.varint
    default:
      // Extensions have numbers from 1,000 on.
      return (1...20_000).contains(number)
        && [WireType.varint, WireType.bytes, WireType.fixed32, WireType.fixed64].contains(type)
    }
  }
}
