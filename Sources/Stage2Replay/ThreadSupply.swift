internal import Glibc

/// Whether the system lets the process have the threads that a replay works on.
///
/// A limit on processes (`RLIMIT_NPROC`, `pids.max` of a cgroup) or want of memory may refuse them, and Dispatch tries for
/// ever to make one that it is refused: so they are made and ended once before.
package enum ThreadSupply {
  /// How many jobs of `wanted` there are threads for, 1 at least.
  ///
  /// - Parameter possible: how many of so many threads there can be at once, beside those that there are.
  package static func jobs(_ wanted: Int, possible: (_ most: Int) -> Int = possible) -> Int {
    guard wanted > 1 else { return 1 }
    return max(possible(wanted * threadsPerJob) / threadsPerJob, 1)
  }

  /// Dispatch has a thread of its own, and one that ends may still be there when the next begins.
  private static let threadsPerJob = 2

  /// How many threads there can be at once beside those that there are, `most` at most: makes them, and ends them.
  package static func possible(_ most: Int) -> Int {
    let gate = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    defer { gate.deallocate() }
    pthread_mutex_init(gate, nil)
    defer { pthread_mutex_destroy(gate) }
    // None ends before all are there.
    pthread_mutex_lock(gate)
    var threads: [pthread_t] = []
    while threads.count < most {
      var thread = pthread_t()
      let refusal = pthread_create(
        &thread, nil,
        { gate in
          let gate = gate!.assumingMemoryBound(to: pthread_mutex_t.self)
          pthread_mutex_lock(gate)
          pthread_mutex_unlock(gate)
          return nil
        }, gate)
      if refusal != 0 { break }
      threads.append(thread)
    }
    pthread_mutex_unlock(gate)
    for thread in threads { pthread_join(thread, nil) }
    return threads.count
  }
}
