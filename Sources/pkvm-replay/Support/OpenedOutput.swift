import ArgumentParser
import Glibc

/// An output that is being written.
final class OpenedOutput {
  let name: String
  let descriptor: Int32
  private let ownsDescriptor: Bool
  private let file: ReplacedFile?

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
    try file?.commit()
    if ownsDescriptor, close(descriptor) != 0 { throw Self.failure(name) }
  }

  /// One line about why writing failed, and the exit status, from `errno`.
  static func failure(_ name: String) -> ExitCode {
    Diagnostics.failure("\(name): cannot be written: \(String(cString: strerror(errno)))", .inputOutput)
  }
}
