internal import KVMTypes

/// The threads that the trace shows, by `ThreadIndex`.
struct ThreadRegister {
  private var threads = RecordStore<TracedThread>()
  private var table = ThreadTable()
  /// The threads whose fault is open: few, where there may be many threads.
  private(set) var open: ContiguousArray<ThreadIndex> = []

  /// All threads, in the order of appearance.
  var indices: some Collection<ThreadIndex> { (0..<threads.count).lazy.map { ThreadIndex($0) } }

  subscript(thread: ThreadIndex) -> TracedThread {
    @inline(__always) _read { yield threads[thread.position] }
    @inline(__always) _modify { yield &threads[thread.position] }
  }

  /// A thread that has been seen before.
  @inline(__always)
  func known(_ tid: ThreadID) -> ThreadIndex? { table[tid].map { ThreadIndex($0) } }

  /// A thread; a new one is taken in. Nil for numbers that Linux cannot hand out.
  @inline(__always)
  mutating func thread(_ tid: ThreadID) -> ThreadIndex? {
    if let position = table[tid] { return ThreadIndex(position) }
    return insert(tid)
  }

  private mutating func insert(_ tid: ThreadID) -> ThreadIndex? {
    guard table.insert(tid, position: threads.count) else { return nil }
    threads.append(TracedThread(tid: tid))
    return ThreadIndex(threads.count - 1)
  }

  /// Where a thread is in its own stream of events.
  func place(of tid: ThreadID) -> ThreadPlace {
    known(tid).map { threads[$0.position].place } ?? ThreadPlace(windows: 0, notifiers: 0)
  }

  /// A fault's window begins.
  mutating func open(_ fault: FaultID, of thread: ThreadIndex) {
    threads[thread.position].vcpu.openFault = fault
    open.append(thread)
  }

  /// The window of a thread's fault ends, if one is open.
  mutating func closeFault(of thread: ThreadIndex) -> FaultID? {
    guard let fault = threads[thread.position].vcpu.openFault else { return nil }
    threads[thread.position].vcpu.openFault = nil
    if let index = open.firstIndex(of: thread) { open.remove(at: index) }
    return fault
  }

  /// Calls `body` with each thread of a vCPU of `vm` whose fault is open, and with that fault.
  @inline(__always)
  func forEachOpenFault(of vm: VMIndex, _ body: (ThreadIndex, FaultID) -> Void) {
    for thread in open where threads[thread.position].vcpu.vm == vm {
      if let fault = threads[thread.position].vcpu.openFault { body(thread, fault) }
    }
  }
}
