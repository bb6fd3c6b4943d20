import ForeignStage2
import Glibc
import KVMTypes
import Reporting
import Stage2Model

/// Whether a shared object is the kernel that it says it is: random calls on it and on the model, in a process of their own. A
/// shared object that has passed is not tested again.
struct SelfTest {
  /// So many calls, over all hosts and guests that it may be for.
  static let calls = 100_000
  /// So long it may take.
  private static let secondsMax = 300

  let library: BackendLibrary

  /// Runs the test, unless it was run before.
  ///
  /// - Returns: what came of it, in a few words; nil where it cannot be made.
  /// - Throws: the exit status of a test that failed, which is told.
  func run() throws -> String? {
    guard let release = library.release else {
      Diagnostics.note("\(library.path): does not say which Linux it is: it is not held against the model")
      return nil
    }
    let passed = "\(Self.calls) random calls as the model of \(release.name)"
    let stamp = stampPath()
    if let stamp, access(stamp, F_OK) == 0 { return passed }
    Phases.begin("self-test of \(library.path)")
    let outcome = OtherProgram.run(
      [OtherProgram.own, "check-backend", library.path, "--calls", "\(Self.calls)"], seconds: Self.secondsMax)
    guard let outcome else { throw Diagnostics.failure("this program cannot be run once more", .inputOutput) }
    guard outcome.status == 0 else {
      let what =
        outcome.isLate
        ? "did not end in \(Self.secondsMax) s"
        : outcome.status > 128
          ? "ended with signal \(outcome.status - 128)"
          : outcome.output.split(separator: "\n").first.map(String.init)
            ?? "ended with status \(outcome.status)"
      Diagnostics.error(
        "\(library.path): is not what the model of Linux \(release.name) is: \(what); 'check-backend \(library.path)' shows the calls, "
          + "and --no-self-test compares all the same")
      throw ExitStatus.selfTest
    }
    if let stamp { close(open(stamp, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)) }
    return passed
  }

  /// The file that says that this shared object has passed with this program; nil where there is no place for it.
  private func stampPath() -> String? {
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    guard let cache = variable("XDG_CACHE_HOME") ?? variable("HOME").map({ "\($0)/.cache" }),
      let digest = Self.digest(of: library.path)
    else { return nil }
    var directory = cache
    for name in ["", "/pkvm-replay", "/self-tests"] {
      directory += name
      mkdir(directory, 0o755)
    }
    var whole = Digest()
    whole.add(digest)
    for byte in ToolIdentity.current.line.utf8 { whole.add(UInt64(byte)) }
    return access(directory, W_OK) == 0
      ? "\(directory)/\(String(whole.value, radix: 16))-\(Self.calls)" : nil
  }

  private static func digest(of path: String) -> UInt64? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var digest = Digest()
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0 { return nil }
      if count == 0 { return digest.value }
      for byte in piece[..<count] { digest.add(UInt64(byte)) }
    }
  }
}
