/// A cursor over the bytes of a file, or over bytes in memory, of either byte order. Every read is checked against the
/// end.
///
/// Invariant: the bytes in memory outlive the reader; their owner is a `FileBytes` that the caller holds.
struct ByteReader {
  /// A read past the end, at this offset of the file or section.
  struct Overrun: Error {
    var offset: Int
  }

  private enum Source {
    case memory(UnsafeRawBufferPointer)
    case file(FileBytes)
  }

  /// The longest name that is believed, in bytes.
  private static let nameBytesMax = 1 << 16

  private let source: Source
  /// Where the bytes end.
  let count: Int
  var bigEndian: Bool
  var offset: Int

  init(_ bytes: UnsafeRawBufferPointer, bigEndian: Bool, at offset: Int = 0) {
    source = .memory(bytes)
    count = bytes.count
    self.bigEndian = bigEndian
    self.offset = offset
  }

  /// Reads a file, up to `end` at most.
  init(_ file: FileBytes, bigEndian: Bool, at offset: Int = 0, end: Int = .max) {
    source = .file(file)
    count = min(file.count, end)
    self.bigEndian = bigEndian
    self.offset = offset
  }

  var remaining: Int { count - offset }

  /// Whether the bytes are no longer in the file.
  var isInMemory: Bool { if case .memory = source { true } else { false } }

  /// Moves to `offset`, which must lie inside the bytes or at their end.
  mutating func seek(to offset: UInt64) throws(Overrun) {
    guard offset <= UInt64(count) else { throw Overrun(offset: count) }
    self.offset = Int(offset)
  }

  mutating func skip(_ count: UInt64) throws(Overrun) {
    guard remaining >= 0, count <= UInt64(remaining) else { throw Overrun(offset: offset) }
    offset += Int(count)
  }

  private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) throws(Overrun) -> T {
    let size = MemoryLayout<T>.size
    guard remaining >= size else { throw Overrun(offset: offset) }
    let value: T
    switch source {
    case .memory(let bytes): value = bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
    case .file(let file):
      guard let bytes = file.bytes(at: offset, size: size) else { throw Overrun(offset: offset) }
      value = bytes.loadUnaligned(as: T.self)
    }
    offset += size
    return bigEndian ? T(bigEndian: value) : T(littleEndian: value)
  }

  mutating func u8() throws(Overrun) -> UInt8 { try integer(UInt8.self) }
  mutating func u16() throws(Overrun) -> UInt16 { try integer(UInt16.self) }
  mutating func u32() throws(Overrun) -> UInt32 { try integer(UInt32.self) }
  mutating func u64() throws(Overrun) -> UInt64 { try integer(UInt64.self) }

  /// The next `count` bytes; those of a file are copied once, and kept with it.
  mutating func slice(_ count: UInt64) throws(Overrun) -> UnsafeRawBufferPointer {
    guard remaining >= 0, count <= UInt64(remaining) else { throw Overrun(offset: offset) }
    let slice: UnsafeRawBufferPointer
    switch source {
    case .memory(let bytes):
      slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + Int(count))])
    case .file(let file):
      guard let bytes = file.keep(at: offset, size: Int(count)) else { throw Overrun(offset: offset) }
      slice = bytes
    }
    offset += Int(count)
    return slice
  }

  /// The next `count` bytes as text; what is no UTF-8 is replaced.
  mutating func text(_ count: UInt64) throws(Overrun) -> String {
    String(decoding: try slice(count), as: UTF8.self)
  }

  /// The text up to a NUL byte, which is consumed.
  mutating func nulTerminated() throws(Overrun) -> String {
    var bytes: [UInt8] = []
    var next = self
    while bytes.count <= Self.nameBytesMax {
      let byte = try next.u8()
      if byte == 0 {
        offset = next.offset
        return String(decoding: bytes, as: UTF8.self)
      }
      bytes.append(byte)
    }
    throw Overrun(offset: offset)
  }
}
