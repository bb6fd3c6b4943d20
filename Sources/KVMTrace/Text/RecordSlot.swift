/// The data of one event, while it is made of a line.
///
/// Invariant: `base` has room for `bytesMax` bytes, of which the first `count` are written; places of fields lie below the `count` that
/// `begin` was given.
struct RecordSlot: BitwiseCopyable {
  /// The longest text that a record takes; what is longer is cut.
  static let textBytesMax = 8 << 10
  /// The longest record: its fields, at most two texts and their ends.
  static let bytesMax = 20 << 10

  let base: UnsafeMutableRawPointer
  private(set) var count = 0
  /// Whether a text had no room.
  private(set) var isCut = false

  init(base: UnsafeMutableRawPointer) { self.base = base }

  /// Begins a record of `bytes` bytes without its texts: the head, and fields of 0.
  @inline(__always)
  mutating func begin(_ bytes: Int, id: UInt16, tid: Int32) {
    var place = CanonicalFormats.headBytes
    while place < bytes {
      base.storeBytes(of: 0, toByteOffset: place, as: UInt64.self)
      place += 8
    }
    base.storeBytes(of: UInt64(id) | UInt64(UInt32(bitPattern: tid)) << 32, as: UInt64.self)
    count = bytes
    isCut = false
  }

  /// Writes a number.
  @inline(__always)
  func store(_ value: UInt64, at place: FieldPlace) {
    let offset = Int(place.offset)
    switch place.size {
    case 8: base.storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
    case 4: base.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: offset, as: UInt32.self)
    case 2: base.storeBytes(of: UInt16(truncatingIfNeeded: value), toByteOffset: offset, as: UInt16.self)
    default: base.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: offset, as: UInt8.self)
    }
  }

  /// Writes a text behind the fields, with a NUL, and into its field where it stands.
  mutating func store(text: TextCursor, at place: FieldPlace) {
    let length = min(text.count, Self.textBytesMax)
    if length < text.count { isCut = true }
    guard count + length + 1 <= Self.bytesMax else {
      isCut = true
      return
    }
    if place.size == 4 {
      // The upper half is the length.
      let location = UInt32(truncatingIfNeeded: count) | UInt32(truncatingIfNeeded: length + 1) << 16
      base.storeBytes(of: location, toByteOffset: Int(place.offset), as: UInt32.self)
    }
    (base + count).copyMemory(from: text.place, byteCount: length)
    base.storeBytes(of: 0, toByteOffset: count + length, as: UInt8.self)
    count += length + 1
  }
}

/// Where a field lies in a record.
struct FieldPlace: BitwiseCopyable {
  var offset: UInt16
  /// In bytes; of a text that ends the record 0, of any other the 4 bytes that say where it is.
  var size: UInt8
  var isText: Bool

  /// Whether a number has room there, with a sign or without.
  @inline(__always)
  func holds(_ value: UInt64) -> Bool {
    guard size > 0, size < 8 else { return true }
    let bits = UInt64(8 &* size)
    return value >> bits == 0 || Int64(bitPattern: value) >> Int64(bits &- 1) == -1
  }
}
