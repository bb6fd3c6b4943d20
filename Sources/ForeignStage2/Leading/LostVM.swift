/// A VM that one side could not go on with: it is left out on both from there on.
package struct LostVM: Sendable {
  /// What happened to the side.
  package enum Reason: Hashable, Sendable {
    /// The process got a signal.
    case signal(Int32)
    /// The process ended.
    case exit(Int32)
    /// A call took longer than so many seconds.
    case hangs(seconds: Int)
    /// The kernel stopped, as it says.
    case panic(String)

    /// The words for it.
    package var words: String {
      switch self {
      case .signal(let number):
        "crashed with signal \(number)" + (Self.signals[number].map { " (\($0))" } ?? "")
      case .exit(let status): "ended the process with status \(status)"
      case .hangs(let seconds): "did not return for \(seconds) s"
      case .panic(let text): "stopped: \(text)"
      }
    }

    private static let signals: [Int32: String] = [
      4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV",
    ]
  }

  /// 0 for the first side, 1 for the second.
  package var side: Int
  package var reason: Reason
  /// The call in which it happened.
  package var call: StageCall
  /// The calls of the VM up to it, which show it once more.
  package var calls: [StageCall]
}
