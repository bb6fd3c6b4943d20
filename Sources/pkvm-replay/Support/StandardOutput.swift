import Glibc

/// The outputs that go to standard output, however they are called.
enum StandardOutput {
  /// Whether what is written to `path` goes there: by `-`, or by a name such as /dev/stdout. Devices take whatever comes, but for a
  /// terminal, which shows it in one stream.
  static func isMeant(by path: String?) -> Bool {
    guard let path else { return false }
    if path == "-" { return true }
    var (own, named) = (stat(), stat())
    guard fstat(1, &own) == 0, stat(path, &named) == 0,
      (own.st_dev, own.st_ino) == (named.st_dev, named.st_ino)
    else { return false }
    return own.st_mode & S_IFMT != S_IFCHR || isatty(1) != 0
  }
}
