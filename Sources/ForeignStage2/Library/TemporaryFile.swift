internal import Glibc

/// A new file that nobody else knows.
struct TemporaryFile {
  let descriptor: Int32
  let path: String

  /// Where files are made that may be large.
  static var directory: String {
    getenv("TMPDIR").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
  }

  /// Makes one; nil where none can be.
  init?(in directory: String) {
    var template = Array("\(directory)/.pkvm-replay-XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    if descriptor < 0 { return nil }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Takes its name away.
  func unlink() { Glibc.unlink(path) }
}
