internal import Glibc

/// A shared object that is loaded by itself: one that this process has already would be the same one, with everything that it keeps in
/// globals. Of such a file a copy is loaded.
enum SharedObject {
  /// Where copies may be made: they need room, and the right to execute what lies there.
  private static var directories: [String] { [TemporaryFile.directory, "/dev/shm"] }

  /// Loads the file at `path`.
  ///
  /// - Returns: the handle, or why there is none.
  static func load(_ path: String) -> (handle: UnsafeMutableRawPointer?, reason: String) {
    // Without a slash the dynamic linker would look among its own libraries.
    let place = path.contains("/") ? path : "./\(path)"
    guard let same = dlopen(place, RTLD_NOLOAD | RTLD_LAZY) else {
      return (dlopen(place, RTLD_NOW | RTLD_LOCAL), reason(place))
    }
    dlclose(same)
    var reason = "it is loaded already, and no copy of it can be made"
    for directory in directories {
      guard let copy = copy(place, to: directory) else { continue }
      defer { unlink(copy) }
      if let handle = dlopen(copy, RTLD_NOW | RTLD_LOCAL) { return (handle, "") }
      reason = "it is loaded already, and a copy of it cannot be: \(Self.reason(copy))"
    }
    return (nil, reason)
  }

  /// Why the dynamic linker loaded nothing. It begins with the file, which is named anyway.
  private static func reason(_ place: String) -> String {
    let reason = dlerror().map { String(cString: $0) } ?? "no reason is given"
    return reason.hasPrefix("\(place): ") ? String(reason.dropFirst(place.count + 2)) : reason
  }

  /// Copies a file; nil where that cannot be.
  private static func copy(_ path: String, to directory: String) -> String? {
    let source = open(path, O_RDONLY | O_CLOEXEC)
    guard source >= 0 else { return nil }
    defer { close(source) }
    guard let copy = TemporaryFile(in: directory) else { return nil }
    defer { close(copy.descriptor) }
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(source, &piece, piece.count)
      if count == 0 { return copy.path }
      guard count > 0, write(copy.descriptor, piece, count) == count else { break }
    }
    copy.unlink()
    return nil
  }
}
