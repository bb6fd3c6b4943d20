internal import Glibc

/// The lines of a text file, front to back.
///
/// Invariant: `buffer` has `capacity` bytes until deinit, of which the first `filled` are those of the file from `fileOffset` on; what
/// lies before `begin` has been handed out.
struct LineReader: ~Copyable {
  /// A line without its end.
  struct Line: BitwiseCopyable {
    /// Valid until the next line is asked for.
    var text: TextCursor
    /// Where in the file it begins, in bytes.
    var offset: Int
    /// Whether the file ends before the line does.
    var isCut = false
    /// Whether it is longer than any line here may be; `text` is empty then.
    var isTooLong = false
  }

  /// How much is read at once, in bytes.
  private static let pieceBytes = 128 << 10
  /// The longest line that is believed, in bytes. Events are shorter than a sub-buffer of the ring buffer.
  static let lineBytesMax = 64 << 10
  private static let capacity = pieceBytes + lineBytesMax

  private let file: FileBytes
  private let buffer: UnsafeMutablePointer<UInt8>
  private var begin = 0
  private var filled = 0
  private var fileOffset = 0
  /// Where the first line begins, in bytes.
  private(set) var firstOffset = 0
  /// Where the line begins that is passed over because it is too long.
  private var longLine: Int?
  /// No more is read of the file than so many bytes, or a little more.
  var limit = Int.max

  init(_ file: FileBytes) {
    self.file = file
    buffer = .allocate(capacity: Self.capacity)
  }

  deinit { buffer.deallocate() }

  /// The next line, nil at the end.
  mutating func next() -> Line? {
    repeat {
      if filled > begin, let found = memchr(buffer + begin, 0x0a, filled - begin) {
        let end = UnsafePointer(found.assumingMemoryBound(to: UInt8.self))
        let line = self.line(upTo: end)
        begin = end - UnsafePointer(buffer) + 1
        return line
      }
    } while fill()
    guard begin < filled || longLine != nil else { return nil }
    var line = self.line(upTo: UnsafePointer(buffer) + filled)
    line.isCut = true
    begin = filled
    return line
  }

  private mutating func line(upTo end: UnsafePointer<UInt8>) -> Line {
    if let offset = longLine {
      longLine = nil
      return Line(text: TextCursor(place: end, end: end), offset: offset, isTooLong: true)
    }
    let start = UnsafePointer(buffer) + begin
    let hasReturn = end > start && end[-1] == 0x0d
    return Line(text: TextCursor(place: start, end: hasReturn ? end - 1 : end), offset: fileOffset + begin)
  }

  /// Reads on behind what is left; false at the end of the file.
  private mutating func fill() -> Bool {
    if filled - begin >= Self.lineBytesMax {
      longLine = longLine ?? fileOffset + begin
      begin = filled
    }
    memmove(buffer, buffer + begin, filled - begin)
    fileOffset += begin
    filled -= begin
    begin = 0
    guard fileOffset + filled < limit else { return false }
    let room = UnsafeMutableRawBufferPointer(start: buffer + filled, count: Self.pieceBytes)
    let count = file.read(at: fileOffset + filled, into: room)
    filled += count
    if fileOffset == 0, filled == count {
      firstOffset = ByteOrderMark.count(UnsafeBufferPointer(start: buffer, count: filled))
      begin = firstOffset
    }
    return count > 0
  }
}
