internal import Glibc

/// The other process: it loads a shared object, carries out the calls that come through the ring, and tells what each did.
package enum FollowingProcess {
  /// The descriptors with which it is started.
  package static let (memory, life): (Int32, Int32) = (3, 4)

  /// Follows until whoever leads is gone. The process ends with it.
  ///
  /// - Parameter path: the shared object.
  package static func run(path: String) throws -> Never {
    var noCore = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &noCore)
    // A crash is told by the leader: no handler of this program's runtime has anything to add.
    for number in [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] { signal(number, SIG_DFL) }
    try endWithLeader()
    let shared = try SharedRings(descriptor: memory)
    let library = try BackendLibrary(path: path)
    var calls = shared.calls()
    var executor = CallExecutor<ForeignStage2>(writingTo: shared.effects()) { call in
      guard let shape = call.shape else { fatalError("a VM of no shape") }
      return ForeignStage2(library, shape, frameOffset: call.pfn)
    }
    shared.isReady = true
    var idle = 0
    while true {
      guard let record = calls.next() else {
        idle += 1
        if idle < 64 { sched_yield() } else { usleep(500) }
        continue
      }
      idle = 0
      let call = CallRecord.call(at: record)
      calls.consume(record)
      shared.begun = call.number + 1
      executor.carryOut(
        call, returned: { shared.returned = call.number + 1 }, wait: { usleep(500) })
    }
  }

  /// Who leads may be killed while a call never returns: a thread of its own notices.
  private static func endWithLeader() throws(FollowerFailure) {
    var thread = pthread_t()
    let result = pthread_create(
      &thread, nil,
      { _ in
        var byte: UInt8 = 0
        while true {
          let count = read(FollowingProcess.life, &byte, 1)
          if count < 0, errno == EINTR { continue }
          _exit(0)
        }
      }, nil)
    if result != 0 { throw FollowerFailure("no thread can be made") }
    pthread_detach(thread)
  }
}

/// A call in a ring: how many words it takes, and the call.
enum CallRecord {
  static var words: Int { StageCall.words + 1 }

  @inline(__always)
  static func write(_ call: StageCall, at place: UnsafeMutablePointer<UInt64>) {
    place[0] = UInt64(words)
    UnsafeMutableRawPointer(place + 1).storeBytes(of: call, as: StageCall.self)
  }

  @inline(__always)
  static func call(at place: UnsafePointer<UInt64>) -> StageCall {
    UnsafeRawPointer(place + 1).loadUnaligned(as: StageCall.self)
  }
}
