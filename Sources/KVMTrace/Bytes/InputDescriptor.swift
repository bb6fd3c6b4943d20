import Glibc

/// Opens an input, whatever kind of file it is.
///
/// A pipe is copied to an unlinked temporary file: trace.dat keeps the list of its buffers behind the buffers and each
/// CPU's events in a place of their own, so it cannot be read front to back. Its first bytes are looked at before
/// anything is copied, for some devices never end: what can be no recording is refused.
enum InputDescriptor {
  /// A descriptor of a regular file with the content of `path`, "-" for standard input.
  static func open(path: String, spoolLimit: UInt64?) throws(IngestError) -> Int32 {
    let descriptor = path == "-" ? fcntl(0, F_DUPFD_CLOEXEC, 3) : Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw refusal(errno, path: path) }
    do throws(IngestError) {
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw failure(path, "cannot be examined") }
      switch status.st_mode & S_IFMT {
      // Files of the kernel have no size, and content nevertheless: /sys/kernel/tracing/trace.
      case S_IFREG where status.st_size > 0: return descriptor
      case S_IFDIR:
        throw IngestError(.notATrace, path: path, what: "is a directory, not a trace")
      default:
        if isatty(descriptor) == 1 {
          throw IngestError(
            .notATrace, path: path, what: "is a terminal, not a trace",
            advice: "name a file, or pipe a trace into the command")
        }
        let spooled = try spool(descriptor, path: path, limit: spoolLimit)
        close(descriptor)
        return spooled
      }
    } catch {
      close(descriptor)
      throw error
    }
  }

  /// Why `path` cannot be opened.
  private static func refusal(_ number: Int32, path: String) -> IngestError {
    switch number {
    case ENOENT, ENOTDIR: IngestError(.noInput, path: path, what: String(cString: strerror(number)))
    case ENXIO, ENODEV:
      IngestError(.notATrace, path: path, what: "is a socket, or a device that is not there; not a trace")
    default:
      IngestError(.inputOutput, path: path, what: "cannot be opened: \(String(cString: strerror(number)))")
    }
  }

  /// Copies what `descriptor` delivers to an unlinked temporary file and returns that file's descriptor.
  private static func spool(
    _ descriptor: Int32, path: String, limit: UInt64?
  ) throws(IngestError) -> Int32 {
    let capacity = 1 << 20
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16)
    defer { buffer.deallocate() }
    var filled = 0
    while filled < RecordingSignature.prefixBytes {
      let received = try receive(
        descriptor, UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]), path: path)
      if received == 0 { break }
      filled += received
    }
    if filled == 0 { throw IngestError(.notATrace, path: path, what: "is empty, not a trace") }
    let prefix = Array(buffer[..<min(filled, RecordingSignature.prefixBytes)])
    if let refusal = RecordingOpener.refusal(of: prefix, path: path) { throw refusal }
    var file = try SpoolFile(path: path, limit: limit, what: "a pipe")
    repeat {
      try file.append(UnsafeRawBufferPointer(rebasing: buffer[..<filled]))
      filled = try receive(descriptor, buffer, path: path)
    } while filled > 0
    return file.takeDescriptor()
  }

  /// What arrives next, 0 bytes at the end.
  private static func receive(
    _ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, path: String
  ) throws(IngestError) -> Int {
    while true {
      let received = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      if received >= 0 { return received }
      if errno != EINTR { throw failure(path, "cannot be read") }
    }
  }

  static func failure(_ path: String, _ what: String) -> IngestError {
    IngestError(.inputOutput, path: path, what: "\(what): \(String(cString: strerror(errno)))")
  }
}
