internal import Glibc

/// A part of a file that is read front to back, with readable bytes behind it, as `WireCursor` wants them.
///
/// Invariant: `buffer` holds the `filled` bytes of the file from `start` on, and `WireCursor.slackBytes` more are readable behind them;
/// it is owned here.
struct PaddedWindow: ~Copyable {
  private let file: FileBytes
  private let pieceBytes: Int
  private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var start = 0
  private var filled = 0

  /// - Parameter pieceBytes: how much is read at once.
  init(_ file: FileBytes, pieceBytes: Int) {
    self.file = file
    self.pieceBytes = pieceBytes
  }

  deinit { buffer.deallocate() }

  /// What there is from `offset` on: `count` bytes at least, nil where they cannot be read. Valid until the next call.
  ///
  /// - Parameter end: where the bytes end that are wanted soon; nil for the file's end.
  mutating func bytes(at offset: Int, atLeast count: Int, before end: Int? = nil) -> UnsafeRawBufferPointer? {
    guard offset >= 0, count >= 0, offset <= file.count, count <= file.count - offset else { return nil }
    if offset < start || offset + count > start + filled {
      let soon = min(end ?? file.count, file.count) - offset
      guard fill(from: offset, max(count, min(pieceBytes, soon)), atLeast: count) else { return nil }
    }
    return UnsafeRawBufferPointer(rebasing: buffer[(offset - start)..<filled])
  }

  private mutating func fill(from offset: Int, _ wanted: Int, atLeast count: Int) -> Bool {
    if buffer.count < wanted + WireCursor.slackBytes {
      buffer.deallocate()
      buffer = .allocate(byteCount: max(wanted, pieceBytes) + WireCursor.slackBytes, alignment: 16)
    }
    start = offset
    filled = file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
    memset(buffer.baseAddress! + filled, 0, WireCursor.slackBytes)
    return filled >= count
  }
}
