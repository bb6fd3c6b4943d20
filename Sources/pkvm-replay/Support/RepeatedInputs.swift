import Glibc

/// Finds inputs that are the same recording: a recording that counts twice makes a spread look smaller than it is.
struct RepeatedInputs {
  /// A regular file that was seen.
  private struct Seen {
    let path: String
    let status: stat
  }

  private var seen: [Seen] = []
  private static let chunkBytes = 1 << 20

  /// The earlier input that has the content of `path`, nil where there is none, and then `path` is one from now on. What is
  /// no regular file is like no other.
  mutating func earlier(_ path: String) -> String? {
    var status = stat()
    guard path != "-", stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    for other in seen where other.status.st_size == status.st_size {
      let isSameFile =
        (other.status.st_dev, other.status.st_ino) == (status.st_dev, status.st_ino)
      if isSameFile || Self.isEqual(other.path, path) { return other.path }
    }
    seen.append(Seen(path: path, status: status))
    return nil
  }

  /// Whether two files have the same bytes; false where one of them cannot be read, which the replay will say.
  private static func isEqual(_ one: String, _ other: String) -> Bool {
    guard let a = fopen(one, "r") else { return false }
    defer { fclose(a) }
    guard let b = fopen(other, "r") else { return false }
    defer { fclose(b) }
    var (x, y) = ([UInt8](repeating: 0, count: chunkBytes), [UInt8](repeating: 0, count: chunkBytes))
    while true {
      let count = fread(&x, 1, chunkBytes, a)
      guard fread(&y, 1, chunkBytes, b) == count, x[..<count] == y[..<count], ferror(a) == 0, ferror(b) == 0
      else { return false }
      if count == 0 { return true }
    }
  }
}
