import Glibc

/// A file that takes its place only when it is complete.
///
/// It is written without a name (`O_TMPFILE`) on the file system where it will lie, and given its name at the end. Whatever
/// ends the program before, a signal, an error or a full disk, leaves what was there, and nothing beside it. Where the file
/// system has no unnamed files, it is written under a name of its own, which stays behind if the program is killed.
final class ReplacedFile {
  /// Open to be written and read: who writes a database reads it, too.
  let descriptor: Int32
  /// `O_TMPFILE`, a macro that Swift does not import: `__O_TMPFILE` of asm-generic/fcntl.h beside `O_DIRECTORY`.
  private static let withoutName = 0o20000000 | O_DIRECTORY

  private let name: String
  private let resolved: String
  private let temporary: String
  private var isNamed: Bool
  private var isDone = false

  /// Begins a file that shall lie at `resolved` and is called `name` in messages.
  init(name: String, resolved: String) throws {
    (self.name, self.resolved) = (name, resolved)
    let slash = resolved.lastIndex(of: "/")
    let directory = slash.map { $0 == resolved.startIndex ? "/" : String(resolved[..<$0]) } ?? "."
    let file = slash.map { String(resolved[resolved.index(after: $0)...]) } ?? resolved
    temporary = "\(directory)/.\(file.prefix(200)).\(getpid())"

    var before = stat()
    let exists = stat(resolved, &before) == 0
    // To rename needs no right to write to the file: a file that its owner protects stays protected.
    if exists, access(resolved, W_OK) != 0 { throw OpenedOutput.failure(name) }
    let unnamed = open(directory, Self.withoutName | O_RDWR | O_CLOEXEC, 0o666)
    if unnamed >= 0 {
      (descriptor, isNamed) = (unnamed, false)
    } else {
      guard errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL else {
        throw OpenedOutput.failure(name)
      }
      descriptor = open(temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o666)
      isNamed = true
      guard descriptor >= 0 else { throw OpenedOutput.failure(name) }
    }
    if exists {
      // Whose it is can be kept only by root.
      _ = fchown(descriptor, before.st_uid, before.st_gid)
      _ = fchmod(descriptor, before.st_mode & 0o7777)
    }
  }

  /// The file is complete: it takes its place. Must be the last call.
  func commit() throws {
    if !isNamed {
      unlink(temporary)
      guard
        linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) == 0
      else { throw OpenedOutput.failure(name) }
      isNamed = true
    }
    isDone = true
    // A network file system tells late that the disk is full.
    guard close(descriptor) == 0, rename(temporary, resolved) == 0 else {
      let problem = OpenedOutput.failure(name)
      unlink(temporary)
      throw problem
    }
  }

  deinit {
    guard !isDone else { return }
    close(descriptor)
    if isNamed { unlink(temporary) }
  }
}
