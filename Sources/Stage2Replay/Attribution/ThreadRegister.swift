internal import KVMTypes

/// The threads that the trace shows, by `ThreadIndex`.
struct ThreadRegister: ~Copyable {
  private var threads = RecordStore<TracedThread>()
  private var table = ThreadTable()
  private(set) var open = OpenFaults()

  /// All threads, in the order of appearance.
  var indices: ThreadIndices { ThreadIndices(count: threads.count) }

  subscript(thread: ThreadIndex) -> TracedThread {
    @inline(__always) unsafeAddress { UnsafePointer(threads.place(of: thread.position)) }
    @inline(__always) unsafeMutableAddress { threads.place(of: thread.position) }
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

  /// The threads whose fault is open, and where they are.
  var openPlaces: [(tid: ThreadID, place: ThreadPlace)] {
    open.all.map { (threads[$0.thread.position].tid, threads[$0.thread.position].place) }
  }

  /// The threads that were in a notification when their processor's events end, and where they are.
  func notifyingPlaces(_ ends: StreamEnds) -> [ThreadID: ThreadPlace] {
    var places: [ThreadID: ThreadPlace] = [:]
    for thread in indices where self[thread].notifier.last != nil && ends.contains(self[thread].tid) {
      places[self[thread].tid] = self[thread].place
    }
    return places
  }

  /// A fault's window begins.
  mutating func open(_ fault: FaultID, at gfn: GFN, of thread: ThreadIndex, vm: VMIndex) {
    threads[thread.position].vcpu.openFault = fault
    let position = open.append(OpenFault(fault: fault, thread: thread, vm: vm, gfn: gfn))
    threads[thread.position].vcpu.openPosition = Int32(truncatingIfNeeded: position)
  }

  /// The window of a thread's fault ends, if one is open.
  @inline(__always)
  mutating func closeFault(of thread: ThreadIndex) -> FaultID? {
    guard let fault = threads[thread.position].vcpu.openFault else { return nil }
    threads[thread.position].vcpu.openFault = nil
    let position = threads[thread.position].vcpu.openPosition
    assert(open[Int(position)].thread == thread, "an open fault is where its thread says")
    if let moved = open.remove(at: Int(position)) { threads[moved.position].vcpu.openPosition = position }
    return fault
  }
}
