/// The bytes of one sub-buffer, with stores of words in the traced machine's byte order.
///
/// The only unsafe memory access of the page builder. Invariant: `bytes` never changes its size, and
/// every store checks its whole range against that size before it touches memory.
struct PageStorage: Sendable {
  private(set) var bytes: [UInt8]
  let swaps: Bool

  init(count: Int, byteOrder: TraceFlavour.ByteOrder) {
    bytes = [UInt8](repeating: 0, count: count)
    swaps = (byteOrder == .big) != (1.bigEndian == 1)
  }

  @inline(__always)
  mutating func store<Word: FixedWidthInteger>(_ value: Word, at offset: Int) {
    precondition(offset >= 0 && offset <= bytes.count - MemoryLayout<Word>.size, "store past the page")
    let word = swaps ? value.byteSwapped : value
    bytes.withUnsafeMutableBytes { memory in
      unsafe memory.storeBytes(of: word, toByteOffset: offset, as: Word.self)
    }
  }

  /// Stores the low `size` bytes (1, 2, 4 or 8) of `value`.
  @inline(__always)
  mutating func store(_ value: UInt64, size: Int, at offset: Int) {
    switch size {
    case 8: store(value, at: offset)
    case 4: store(UInt32(truncatingIfNeeded: value), at: offset)
    case 2: store(UInt16(truncatingIfNeeded: value), at: offset)
    default: store(UInt8(truncatingIfNeeded: value), at: offset)
    }
  }

  mutating func store(_ more: some Collection<UInt8>, at offset: Int) {
    precondition(offset >= 0 && more.count <= bytes.count - offset, "store past the page")
    bytes.replaceSubrange(offset..<offset + more.count, with: more)
  }

  mutating func zero(from offset: Int) {
    precondition(offset >= 0 && offset <= bytes.count, "zero past the page")
    bytes.withUnsafeMutableBytes { memory in
      _ = unsafe memory[offset...].initializeMemory(as: UInt8.self, repeating: 0)
    }
  }
}
