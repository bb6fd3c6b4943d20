import Glibc

/// The temporary file in which a pipe, or what a compressed file holds, is kept while it is read. It has no name: it is gone with the
/// process.
struct SpoolFile: ~Copyable {
  /// Which share of the free space a copy may take where the user sets no limit.
  private static let freeShare: UInt64 = 2

  private let path: String
  /// What is copied.
  private let what: String
  private let directory: String
  private let limit: UInt64
  private let isDefaultLimit: Bool
  private var descriptor: Int32
  private var count: UInt64 = 0

  /// - Parameters:
  ///   - path: the input, for errors.
  ///   - limit: the most bytes that are copied, nil for half of what is free there.
  ///   - what: what is copied, such as "a pipe".
  init(path: String, limit: UInt64?, what: String) throws(IngestError) {
    let directory = TemporaryDirectory.path
    var template = Array("\(directory)/pkvm-replay-XXXXXX".utf8CString)
    let made = mkstemp(&template)
    guard made >= 0 else {
      throw InputDescriptor.failure(
        path, "cannot be copied to \(directory), where \(what) is kept while it is read")
    }
    unlink(template)
    _ = fcntl(made, F_SETFD, FD_CLOEXEC)
    self.path = path
    self.what = what
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
        .inputOutput, path: path, what: "is longer than \(limit) bytes, \(reason), where \(what) is kept",
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
