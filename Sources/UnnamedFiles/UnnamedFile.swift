internal import Glibc

/// A file in `TMPDIR` that has no name in any directory: it is gone with its owner, and with the process if that is killed.
///
/// While its owner lives, other processes of the same user reach it by `path`, too.
package final class UnnamedFile {
  /// Why there is no file.
  package struct Failure: Error, CustomStringConvertible {
    package var description: String
  }

  /// Where it can be opened, for reading and writing.
  package let path: String
  private let descriptor: Int32

  /// A file that holds `bytes`.
  package init(_ bytes: some Sequence<UInt8> = []) throws(Failure) {
    let directory = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var template = Array("\(directory)/.pkvm-replay-XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    guard descriptor >= 0 else { throw Failure(description: "\(directory): no file can be made there") }
    unlink(&template)
    // Programs that the process starts must not keep it alive.
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    path = "/proc/\(getpid())/fd/\(descriptor)"
    try write(Array(bytes))
  }

  private func write(_ bytes: [UInt8]) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let step = bytes.withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress! + done, $0.count - done, off_t(done))
      }
      guard step > 0 || errno == EINTR else {
        throw Failure(description: "a temporary file cannot be written")
      }
      done += max(step, 0)
    }
  }

  deinit { close(descriptor) }
}
