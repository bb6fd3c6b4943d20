import Glibc

/// A program that is run to its end, for what it prints.
enum OtherProgram {
  /// How it ended, and what it printed on standard output.
  struct Outcome {
    /// Its exit status, 128 and the signal's number where one ended it.
    var status: Int32
    var output: String
    /// It was ended because it took too long.
    var isLate = false

    /// The last line that it printed.
    var lastLine: String? { output.split(separator: "\n").last.map(String.init) }
  }

  /// This program, for what is to be done in a process of its own.
  static var own: String { path(of: "/proc/self/exe") ?? CommandLine.arguments[0] }

  /// Where a link leads.
  private static func path(of link: String) -> String? {
    guard let path = realpath(link, nil) else { return nil }
    defer { free(path) }
    return String(cString: path)
  }

  /// Runs a program.
  ///
  /// - Parameters:
  ///   - seconds: so long it may take; nil for as long as it likes.
  ///   - takesErrors: whether what it writes to standard error is part of its output, instead of going to this program's.
  /// - Returns: nil where it cannot be started, or nobody can say how it ended.
  static func run(_ arguments: [String], seconds: Int? = nil, takesErrors: Bool = false) -> Outcome? {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return nil }
    defer { close(ends[0]) }
    _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    if takesErrors { posix_spawn_file_actions_adddup2(&actions, ends[1], 2) }
    posix_spawn_file_actions_addclose(&actions, ends[1])
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var pid: pid_t = 0
    let result = posix_spawnp(&pid, arguments[0], &actions, nil, &words, environ)
    close(ends[1])
    guard result == 0 else { return nil }
    var outcome = Outcome(status: 0, output: "")
    outcome.output = read(ends[0], of: pid, seconds, &outcome.isLate)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 { if errno != EINTR { return nil } }
    outcome.status = status & 0x7f != 0 ? 128 + status & 0x7f : status >> 8 & 0xff
    return outcome
  }

  private static func read(
    _ descriptor: Int32, of pid: pid_t, _ seconds: Int?, _ isLate: inout Bool
  ) -> String {
    let start = ContinuousClock.now
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 14)
    while true {
      var waits = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&waits, 1, 200)
      if let seconds, !isLate, ContinuousClock.now - start > .seconds(seconds) {
        isLate = true
        kill(pid, SIGKILL)
      }
      if ready == 0 || ready < 0 && errno == EINTR { continue }
      let count = Glibc.read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += piece[..<count]
    }
  }
}
