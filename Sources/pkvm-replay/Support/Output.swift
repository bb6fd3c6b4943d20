import ArgumentParser
import Glibc

/// A file or standard output, written in large pieces. A reader that goes away ends the program quietly, as it
/// ends any other filter (SIGPIPE).
struct Output: ~Copyable {
  private static let flushBytes = 1 << 16

  private let path: String
  private let descriptor: Int32
  private var buffer: [UInt8] = []

  /// Creates or empties the file at `path`; "-" is standard output.
  init(path: String) throws {
    self.path = path
    descriptor = path == "-" ? 1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw Diagnostics.failure(
        "\(path): cannot be written: \(String(cString: strerror(errno)))", .inputOutput)
    }
    buffer.reserveCapacity(Self.flushBytes + 4096)
  }

  /// Makes `text` the whole content of the file at `path`.
  static func write(_ text: String, to path: String) throws {
    var output = try Output(path: path)
    try output.write(text)
    try output.finish()
  }

  mutating func write(_ text: String) throws {
    buffer.append(contentsOf: text.utf8)
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
    if descriptor > 1, close(descriptor) != 0 { throw failure() }
  }

  private mutating func flush() throws {
    var written = 0
    while written < buffer.count {
      let step = buffer.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written)
      }
      if step < 0 {
        if errno == EINTR { continue }
        throw failure()
      }
      written += step
    }
    buffer.removeAll(keepingCapacity: true)
  }

  private func failure() -> ExitCode {
    let name = path == "-" ? "standard output" : path
    return Diagnostics.failure(
      "\(name): cannot be written: \(String(cString: strerror(errno)))", .inputOutput)
  }
}
