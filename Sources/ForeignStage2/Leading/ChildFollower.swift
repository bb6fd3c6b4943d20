internal import Glibc

/// A follower in a process of its own, so that whatever its shared object does, the replay goes on.
final class ChildFollower {
  private let shared: SharedRings
  private var calls: WordRing
  private let pid: pid_t
  /// Closed when this end is done with: then the process ends.
  private let life: Int32
  private var status: Int32?
  private var watch = CallWatch()

  /// Why it follows no more.
  enum End: Hashable {
    /// A signal ended it.
    case signal(Int32)
    /// It exited.
    case exit(Int32)
    /// A call does not return.
    case hangs(Duration)
    /// What it shares with this process is not what it wrote there to be read.
    case overwrote
  }

  /// Starts a process.
  ///
  /// - Parameters:
  ///   - program: this program, or another that has its verbs.
  ///   - path: the shared object.
  init(program: String, path: String) throws(FollowerFailure) {
    shared = try SharedRings()
    calls = shared.calls()
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw FollowerFailure("no pipe to another process can be made") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    life = ends[1]
    // Neither may be where the other one goes.
    let memory = fcntl(shared.descriptor, F_DUPFD_CLOEXEC, 16)
    let reads = fcntl(ends[0], F_DUPFD_CLOEXEC, 16)
    defer { for descriptor in [memory, reads, ends[0]] { close(descriptor) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, memory, FollowingProcess.memory)
    posix_spawn_file_actions_adddup2(&actions, reads, FollowingProcess.life)
    // What the shared object prints is no part of a report.
    posix_spawn_file_actions_adddup2(&actions, 2, 1)
    let words = [program, "follow-calls", path]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var pid: pid_t = 0
    let result = posix_spawn(&pid, program, &actions, nil, &arguments, environ)
    guard result == 0 else {
      throw FollowerFailure("\(program): cannot be started once more: \(String(cString: strerror(result)))")
    }
    self.pid = pid
  }

  deinit {
    close(life)
    if status == nil {
      kill(pid, SIGKILL)
      var status: Int32 = 0
      waitpid(pid, &status, 0)
    }
  }

  /// The ring of what it tells, for the reader.
  func effects() -> WordRing { shared.effects() }

  /// Hands it a call.
  ///
  /// - Returns: whether there was room.
  @inline(__always)
  func offer(_ call: StageCall) -> Bool {
    guard let place = calls.reserve(CallRecord.words) else { return false }
    CallRecord.write(call, at: place)
    calls.publish(CallRecord.words)
    return true
  }

  /// The number of the call that it is in, or was in last; nil before the first.
  var lastBegun: UInt64? { shared.begun == 0 ? nil : shared.begun - 1 }

  /// Whether it wrote over what this end writes or reads.
  var isBroken: Bool { calls.isBroken }

  /// Whether it follows no more, and why.
  ///
  /// - Parameter limit: so long a call may take.
  func end(limit: Duration) -> End? {
    var status: Int32 = 0
    if self.status == nil, waitpid(pid, &status, WNOHANG) == pid { self.status = status }
    if let status = self.status {
      return status & 0x7f != 0 ? .signal(status & 0x7f) : .exit(status >> 8 & 0xff)
    }
    let begun = shared.begun
    let isInCall = begun != shared.returned || !shared.isReady
    return watch.isOver(in: isInCall ? begun : nil, at: .now, limit: limit) ? .hangs(limit) : nil
  }
}
