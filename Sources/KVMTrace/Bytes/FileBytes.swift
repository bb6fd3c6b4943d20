import Glibc

/// The bytes of an input, mapped into memory.
///
/// A pipe is first copied to an unlinked temporary file: trace.dat keeps the list of its buffers behind
/// the buffers and each CPU's events in a place of their own, so it cannot be read front to back.
///
/// Invariant: `base ..< base + count` stays mapped and readable until deinit. Pages that were consumed can be
/// given back (`release`); reading them again is correct and reads the file again.
final class FileBytes: @unchecked Sendable {
  let path: String
  let base: UnsafeRawPointer
  let count: Int

  var all: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Maps `path`, or standard input for "-".
  init(path: String) throws(IngestError) {
    self.path = path
    var descriptor: Int32 = path == "-" ? 0 : Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      let missing = errno == ENOENT || errno == ENOTDIR
      throw IngestError(missing ? .noInput : .inputOutput, path: path, what: String(cString: strerror(errno)))
    }
    defer { if descriptor > 0 { close(descriptor) } }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw IngestError(.inputOutput, path: path, what: String(cString: strerror(errno)))
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw IngestError(.notATrace, path: path, what: "is a directory, not a trace")
    default:
      let spooled = try Self.spool(descriptor, path: path)
      if descriptor > 0 { close(descriptor) }
      descriptor = spooled
      guard fstat(descriptor, &status) == 0 else {
        throw IngestError(.inputOutput, path: path, what: String(cString: strerror(errno)))
      }
    }
    count = Int(status.st_size)
    if count == 0 {
      throw IngestError(.notATrace, path: path, what: "is empty, not a trace")
    }
    guard let mapped = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), mapped != MAP_FAILED else {
      throw IngestError(
        .inputOutput, path: path, what: "cannot be mapped: \(String(cString: strerror(errno)))")
    }
    base = UnsafeRawPointer(mapped)
  }

  deinit { munmap(UnsafeMutableRawPointer(mutating: base), count) }

  /// Lets the system take back the memory of the whole pages inside `range`; the file keeps the bytes.
  func release(_ range: Range<Int>) {
    let systemPage = 4096
    let first = (range.lowerBound + systemPage - 1) / systemPage * systemPage
    let last = range.upperBound / systemPage * systemPage
    guard first < last, range.lowerBound >= 0, last <= count else { return }
    madvise(UnsafeMutableRawPointer(mutating: base + first), last - first, MADV_DONTNEED)
  }

  /// Copies what `descriptor` delivers to an unlinked temporary file and returns that file's descriptor.
  private static func spool(_ descriptor: Int32, path: String) throws(IngestError) -> Int32 {
    let directory = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(directory)/pkvm-replay-XXXXXX".utf8CString)
    let file = mkstemp(&template)
    if file >= 0 { unlink(template) }
    func failure(_ what: String) -> IngestError {
      let reason = String(cString: strerror(errno))
      if file >= 0 { close(file) }
      return IngestError(.inputOutput, path: path, what: "\(what): \(reason)")
    }
    guard file >= 0 else {
      throw failure("cannot be copied to \(directory), where a pipe is kept while it is read")
    }
    let capacity = 1 << 20
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let received = read(descriptor, buffer, capacity)
      if received == 0 { return file }
      if received < 0 {
        if errno == EINTR { continue }
        throw failure("cannot be read")
      }
      var written = 0
      while written < received {
        let step = write(file, buffer + written, received - written)
        if step < 0 {
          if errno == EINTR { continue }
          throw failure("cannot be copied to \(directory)")
        }
        written += step
      }
    }
  }
}
