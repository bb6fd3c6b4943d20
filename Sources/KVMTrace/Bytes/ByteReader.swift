/// A cursor over bytes of either byte order. Every read is checked against the end.
///
/// Invariant: `bytes` outlives the reader; its owner is a `FileBytes` or a decompressed section that the
/// caller holds.
struct ByteReader {
  /// A read past the end, at this offset of the file or section.
  struct Overrun: Error {
    var offset: Int
  }

  let bytes: UnsafeRawBufferPointer
  var bigEndian: Bool
  var offset: Int

  init(_ bytes: UnsafeRawBufferPointer, bigEndian: Bool, at offset: Int = 0) {
    self.bytes = bytes
    self.bigEndian = bigEndian
    self.offset = offset
  }

  var remaining: Int { bytes.count - offset }

  /// Moves to `offset`, which must lie inside the bytes or at their end.
  mutating func seek(to offset: UInt64) throws(Overrun) {
    guard offset <= UInt64(bytes.count) else { throw Overrun(offset: bytes.count) }
    self.offset = Int(offset)
  }

  mutating func skip(_ count: UInt64) throws(Overrun) {
    guard count <= UInt64(remaining) else { throw Overrun(offset: offset) }
    offset += Int(count)
  }

  private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) throws(Overrun) -> T {
    let size = MemoryLayout<T>.size
    guard remaining >= size else { throw Overrun(offset: offset) }
    let value = bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
    offset += size
    return bigEndian ? T(bigEndian: value) : T(littleEndian: value)
  }

  mutating func u8() throws(Overrun) -> UInt8 { try integer(UInt8.self) }
  mutating func u16() throws(Overrun) -> UInt16 { try integer(UInt16.self) }
  mutating func u32() throws(Overrun) -> UInt32 { try integer(UInt32.self) }
  mutating func u64() throws(Overrun) -> UInt64 { try integer(UInt64.self) }

  /// The next `count` bytes, in place.
  mutating func slice(_ count: UInt64) throws(Overrun) -> UnsafeRawBufferPointer {
    guard count <= UInt64(remaining) else { throw Overrun(offset: offset) }
    let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Int(count))])
    offset += Int(count)
    return slice
  }

  /// The next `count` bytes as text; what is no UTF-8 is replaced.
  mutating func text(_ count: UInt64) throws(Overrun) -> String {
    String(decoding: try slice(count), as: UTF8.self)
  }

  /// The text up to a NUL byte, which is consumed.
  mutating func nulTerminated() throws(Overrun) -> String {
    guard let end = bytes[offset...].firstIndex(of: 0) else { throw Overrun(offset: bytes.count) }
    let text = String(decoding: bytes[offset..<end], as: UTF8.self)
    offset = end + 1
    return text
  }
}
