internal import Glibc

/// Where files lie that are gone with the program.
package enum TemporaryDirectory {
  /// `TMPDIR`; /tmp where that says nothing.
  package static var path: String {
    guard let path = getenv("TMPDIR"), path.pointee != 0 else { return "/tmp" }
    return String(cString: path)
  }
}
