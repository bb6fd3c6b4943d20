import Glibc

/// Text, or bytes, on its way to an output, written in large pieces. A reader that goes away ends the program quietly, as it ends any
/// other filter (SIGPIPE). A file is there when `finish` returns, and not before.
struct Output: ~Copyable {
  private static let flushBytes = 1 << 16

  private let opened: OpenedOutput
  private var buffer: [UInt8]

  init(_ target: OutputTarget) throws {
    // Nothing is set before the last thing that can fail: Swift 6.2 does not compile that.
    let opened = try OpenedOutput(target)
    var buffer: [UInt8] = []
    buffer.reserveCapacity(Self.flushBytes + 4096)
    (self.opened, self.buffer) = (opened, buffer)
  }

  /// Makes `text` the whole content of an output.
  static func write(_ text: String, to target: OutputTarget) throws {
    // Of what goes to a file the terminal sees nothing, and there may be more to read. A page comes behind the line.
    if case .file = target {} else { Progress.shared.end() }
    var output = try Output(target)
    try output.write(text)
    try output.finish()
  }

  mutating func write(_ text: String) throws {
    buffer.append(contentsOf: text.utf8)
    if buffer.count >= Self.flushBytes { try flush() }
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.flushBytes { try flush() }
  }

  mutating func line(_ text: String) throws {
    buffer.append(contentsOf: text.utf8)
    buffer.append(UInt8(ascii: "\n"))
    if buffer.count >= Self.flushBytes { try flush() }
  }

  /// Writes what is left. Must be the last call.
  mutating func finish() throws {
    try flush()
    try opened.finish()
  }

  private mutating func flush() throws {
    var written = 0
    while written < buffer.count {
      let step = buffer.withUnsafeBytes {
        Glibc.write(opened.descriptor, $0.baseAddress! + written, $0.count - written)
      }
      if step < 0 {
        if errno == EINTR { continue }
        throw OpenedOutput.failure(opened.name)
      }
      written += step
    }
    buffer.removeAll(keepingCapacity: true)
  }
}
