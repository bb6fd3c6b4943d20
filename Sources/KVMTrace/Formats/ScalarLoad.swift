/// How to read one integer of 1, 2, 4 or 8 bytes from an event's data, in either byte order, without a branch on
/// its size: load the eight bytes that *end* where the field ends, and shift the rest away.
///
/// The load can begin before the event's data. It never begins before the sub-buffer: the data of an event lies
/// behind its 4-byte header, and that behind the sub-buffer's header of 12 or 16 bytes.
struct ScalarLoad {
  /// The field's end, in bytes from the start of the event's data.
  let end: Int
  /// How far to shift left, in a big-endian trace.
  private let left: UInt64
  /// How far to shift right then, so that only the field remains: the bits that are not its own.
  let unused: UInt64
  let isSigned: Bool
  private let bigEndian: Bool

  init(offset: Int, size: Int, isSigned: Bool, bigEndian: Bool) {
    precondition(offset >= 0 && [1, 2, 4, 8].contains(size))
    end = offset + size
    unused = UInt64(64 - 8 * size)
    left = bigEndian ? unused : 0
    self.isSigned = isSigned
    self.bigEndian = bigEndian
  }

  /// The field of the event whose data begins at `payload`: `payload + end - 8 ..< payload + end` is readable.
  @inline(__always)
  func load(_ payload: UnsafeRawPointer) -> UInt64 {
    let raw = payload.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self)
    let shifted = (bigEndian ? raw.byteSwapped : raw) &<< left
    return isSigned
      ? UInt64(bitPattern: Int64(bitPattern: shifted) &>> Int64(unused))
      : shifted &>> unused
  }
}
