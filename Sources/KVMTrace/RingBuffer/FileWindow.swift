/// A part of a file that is read front to back, in pieces much larger than a page.
///
/// Invariant: `buffer` holds the `filled` bytes of the file from `start` on; it is owned here.
struct FileWindow: ~Copyable {
  /// How much is read at once, in bytes: few calls, and what they deliver is still in the cache when it is used.
  static let pieceBytes = 128 << 10
  /// So much more is read with them, that what begins behind them can be looked at.
  private static let aheadBytes = 64

  private let file: FileBytes
  private let end: Int
  private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var start = 0
  private var filled = 0

  /// A window on the bytes of `file` before `end`.
  init(_ file: FileBytes, end: Int) {
    self.file = file
    self.end = end
  }

  deinit { buffer.deallocate() }

  /// The `count` bytes from `offset` on, valid until the next call; nil where they cannot be read.
  mutating func bytes(at offset: Int, count: Int) -> UnsafeRawBufferPointer? {
    if offset < start || offset + count > start + filled {
      guard fill(from: offset, atLeast: count) else { return nil }
    }
    return UnsafeRawBufferPointer(rebasing: buffer[(offset - start)..<(offset - start + count)])
  }

  /// The 32-bit word at `offset`; nil where it cannot be read.
  mutating func word(at offset: Int, bigEndian: Bool) -> UInt32? {
    guard let bytes = bytes(at: offset, count: 4)?.baseAddress else { return nil }
    let raw = bytes.loadUnaligned(as: UInt32.self)
    return bigEndian ? UInt32(bigEndian: raw) : raw
  }

  private mutating func fill(from offset: Int, atLeast count: Int) -> Bool {
    guard count <= end - offset else { return false }
    let wanted = min(max(count, Self.pieceBytes + Self.aheadBytes), end - offset)
    if buffer.count < wanted {
      buffer.deallocate()
      buffer = .allocate(byteCount: wanted, alignment: 16)
    }
    start = offset
    filled = file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
    return filled >= count
  }
}
