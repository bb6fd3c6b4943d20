import Glibc

/// Opens an input, whatever kind of file it is.
///
/// A pipe is copied to an unlinked temporary file: trace.dat keeps the list of its buffers behind the buffers and each
/// CPU's events in a place of their own, so it cannot be read front to back. Its first bytes are looked at before
/// anything is copied, for some devices never end.
enum InputDescriptor {
  /// A descriptor of a regular file with the content of `path`, "-" for standard input.
  static func open(path: String, spoolLimit: UInt64?) throws(IngestError) -> Int32 {
    let descriptor = path == "-" ? fcntl(0, F_DUPFD_CLOEXEC, 3) : Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw refusal(errno, path: path) }
    do throws(IngestError) {
      var status = stat()
      guard fstat(descriptor, &status) == 0 else { throw failure(path, "cannot be examined") }
      switch status.st_mode & S_IFMT {
      case S_IFREG: return descriptor
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
    while filled < TraceDatOpener.magic.count {
      let received = try receive(
        descriptor, UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]), path: path)
      if received == 0 { break }
      filled += received
    }
    if filled == 0 { throw IngestError(.notATrace, path: path, what: "is empty, not a trace") }
    guard TraceDatOpener.isTrace(UnsafeRawBufferPointer(rebasing: buffer[..<filled])) else {
      throw TraceDatOpener.notATrace(path)
    }
    var file = try SpoolFile(path: path, limit: limit)
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

  fileprivate static func failure(_ path: String, _ what: String) -> IngestError {
    IngestError(.inputOutput, path: path, what: "\(what): \(String(cString: strerror(errno)))")
  }
}

/// The temporary file in which a pipe is kept while it is read. It has no name: it is gone with the process.
private struct SpoolFile: ~Copyable {
  /// Which share of the free space a copy may take where the user sets no limit.
  private static let freeShare: UInt64 = 2

  private let path: String
  private let directory: String
  private let limit: UInt64
  private let isDefaultLimit: Bool
  private var descriptor: Int32
  private var count: UInt64 = 0

  init(path: String, limit: UInt64?) throws(IngestError) {
    let directory = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(directory)/pkvm-replay-XXXXXX".utf8CString)
    let made = mkstemp(&template)
    guard made >= 0 else {
      throw InputDescriptor.failure(
        path, "cannot be copied to \(directory), where a pipe is kept while it is read")
    }
    unlink(template)
    _ = fcntl(made, F_SETFD, FD_CLOEXEC)
    self.path = path
    self.directory = directory
    self.limit = limit ?? Self.share(ofFreeSpaceOf: made)
    isDefaultLimit = limit == nil
    descriptor = made
  }

  /// What a copy may take where the user sets no limit, in bytes.
  private static func share(ofFreeSpaceOf descriptor: Int32) -> UInt64 {
    var space = statvfs()
    guard fstatvfs(descriptor, &space) == 0 else { return .max }
    return UInt64(space.f_bavail) * UInt64(space.f_frsize) / freeShare
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Gives the file away.
  consuming func takeDescriptor() -> Int32 {
    let result = descriptor
    descriptor = -1
    return result
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) throws(IngestError) {
    count += UInt64(bytes.count)
    guard count <= limit else {
      let reason =
        isDefaultLimit ? "half of what was free in \(directory)" : "what --spool-limit allows in \(directory)"
      throw IngestError(
        .inputOutput, path: path, what: "is longer than \(limit) bytes, \(reason), where a pipe is kept",
        advice: "--spool-limit SIZE allows more, TMPDIR names another directory")
    }
    var written = 0
    while written < bytes.count {
      let step = write(descriptor, bytes.baseAddress! + written, bytes.count - written)
      if step >= 0 {
        written += step
      } else if errno != EINTR {
        throw InputDescriptor.failure(path, "cannot be copied to \(directory)")
      }
    }
  }
}
