/// Fields of protobuf messages, one behind the other, as they stand in a file.
struct WireBuffer {
  /// What is written so far.
  private(set) var bytes: [UInt8] = []

  /// The types of a field on the wire.
  private enum WireType: UInt32 {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
  }

  /// A field of any integer type without a sign, or a bool or an enum.
  @inline(__always)
  mutating func varint(_ field: UInt32, _ value: UInt64) {
    tag(field, .varint)
    append(varint: value)
  }

  /// A field of type int32 or int64: negative ones take ten bytes.
  mutating func signed(_ field: UInt32, _ value: Int64) { varint(field, UInt64(bitPattern: value)) }

  /// A field of type fixed64.
  mutating func fixed64(_ field: UInt32, _ value: UInt64) {
    tag(field, .fixed64)
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// A field of type double.
  mutating func double(_ field: UInt32, _ value: Double) { fixed64(field, value.bitPattern) }

  /// A field of type string.
  mutating func text(_ field: UInt32, _ text: String) {
    tag(field, .lengthDelimited)
    append(varint: UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  /// A message in a field. Its length, which stands before it, is known behind it: one byte is kept free, and where that
  /// is too little the message is moved.
  @inline(__always)
  mutating func message(_ field: UInt32, _ body: (inout WireBuffer) -> Void) {
    tag(field, .lengthDelimited)
    let place = bytes.count
    bytes.append(0)
    body(&self)
    setLength(at: place)
  }

  /// Forgets what is written and keeps the memory.
  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  private mutating func setLength(at place: Int) {
    let length = bytes.count - place - 1
    guard length >= 0x80 else {
      bytes[place] = UInt8(length)
      return
    }
    var prefix = WireBuffer()
    prefix.append(varint: UInt64(length))
    bytes.replaceSubrange(place...place, with: prefix.bytes)
  }

  @inline(__always)
  private mutating func tag(_ field: UInt32, _ type: WireType) {
    append(varint: UInt64(field << 3 | type.rawValue))
  }

  @inline(__always)
  private mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}
