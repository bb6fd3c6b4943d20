import Synchronization

/// What a command does after what, and how long each took: told with --verbose.
enum Phases {
  private static let current = Mutex<(name: String, begin: ContinuousClock.Instant)?>(nil)

  /// A phase begins, and the one before it is over.
  static func begin(_ name: String) {
    guard Diagnostics.level == .verbose else { return }
    end()
    current.withLock { $0 = (name, .now) }
  }

  /// The last phase is over.
  static func end() {
    let phase = current.withLock { phase in
      defer { phase = nil }
      return phase
    }
    guard let phase else { return }
    let components = (ContinuousClock.now - phase.begin).components
    let milliseconds = Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000)
    Diagnostics.detail(
      "\(phase.name): \(milliseconds / 1000).\(String(milliseconds % 1000 + 1000).dropFirst()) s")
  }
}
