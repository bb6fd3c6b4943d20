import Glibc

/// Where a trace goes: a file, standard output, or memory. Written from front to back, never seeked.
///
/// System calls see the bytes of arrays only for the time of the call, with the array's own length.
public final class OutputFile {
  /// Bytes written so far.
  public private(set) var position: UInt64 = 0
  /// What was written, when the output is memory.
  public private(set) var memory: [UInt8] = []

  private let name: String
  private let descriptor: Int32?

  /// Output into memory.
  public init() {
    name = "memory"
    descriptor = nil
  }

  /// Output into an open file, called `name` in messages. Whoever opened it closes it.
  public init(descriptor: Int32, name: String) {
    self.name = name
    self.descriptor = descriptor
  }

  /// Appends bytes.
  public func write(_ bytes: [UInt8]) throws(TraceWriteError) {
    position += UInt64(bytes.count)
    guard let descriptor else {
      memory += bytes
      return
    }
    try writeAll(bytes, to: descriptor, name)
  }

  /// Appends zeros up to `position`.
  func pad(to end: UInt64) throws(TraceWriteError) {
    precondition(end >= position, "the output is already past \(end)")
    try write([UInt8](repeating: 0, count: Int(end - position)))
  }
}

/// Writes all of `bytes` to a file descriptor.
func writeAll(
  _ bytes: [UInt8], to descriptor: Int32, _ name: String, isTemporary: Bool = false
) throws(TraceWriteError) {
  var done = 0
  while done < bytes.count {
    let wrote = bytes.withUnsafeBytes { memory in
      unsafe write(descriptor, memory.baseAddress! + done, memory.count - done)
    }
    if wrote < 0 {
      if errno == EINTR { continue }
      throw TraceWriteError("\(name): cannot be written", isOfTemporaryFile: isTemporary)
    }
    done += wrote
  }
}
