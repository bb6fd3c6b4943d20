import ArgumentParser
import Glibc
import Synchronization

/// An output that is being written.
final class OpenedOutput {
  let name: String
  let descriptor: Int32
  private let ownsDescriptor: Bool
  private let file: ReplacedFile?
  /// The files of this run that have taken their places.
  private static let complete = Mutex<[String]>([])

  init(_ target: OutputTarget) throws {
    name = target.name
    switch target {
    case .standardOutput:
      (descriptor, ownsDescriptor, file) = (1, false, nil)
      // What is written there piece by piece would be torn by a line that is written over.
      if isatty(1) == 1 { Progress.shared.end() }
    case .stream(let path):
      descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
      (ownsDescriptor, file) = (true, nil)
      guard descriptor >= 0 else { throw Self.failure(path) }
    case .file(let path, let resolved):
      let opened = try ReplacedFile(name: path, resolved: resolved)
      (descriptor, ownsDescriptor, file) = (opened.descriptor, false, opened)
    }
  }

  /// All is written: a file takes its place. Must be the last call.
  func finish() throws {
    if let file {
      try file.commit()
      Self.complete.withLock { $0.append(name) }
    }
    if ownsDescriptor, close(descriptor) != 0 { throw Self.failure(name) }
  }

  /// One line about why writing failed, and the exit status, from `errno`. Files that were complete before stay, so it names them.
  static func failure(_ name: String) -> ExitCode {
    let why = String(cString: strerror(errno))
    let others = complete.withLock { $0 }
    let kept = others.isEmpty ? "" : "; of the same run there is already \(others.joined(separator: ", "))"
    return Diagnostics.failure("\(name): cannot be written: \(why)\(kept)", .inputOutput)
  }
}
