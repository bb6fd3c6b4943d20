internal import KVMTrace
internal import KVMTypes

/// The windows of faults, for whoever reads a trace before it is replayed: which thread's fault is being handled.
///
/// A window begins with kvm_guest_fault. KVM has acted when the thread enters the guest again (kvm_entry) or returns to the
/// VMM (kvm_userspace_exit). Where neither was recorded, the window ends with the thread's next kvm_exit or fault at the
/// latest: its end is unseen.
///
/// Every event has two steps: `end(by:)` says what it ends, and `take(_:)` what begins with it, so that who asks in between
/// sees the window that was open.
struct FaultWindows {
  /// How a window ended.
  enum End: Hashable {
    /// kvm_entry: the guest runs on.
    case entry
    /// kvm_userspace_exit, with what KVM_RUN returns.
    case userspaceExit(errno: Int32)
    /// By an event that the thread does not reach within a window.
    case unseen

    /// Whether KVM_RUN failed: nothing came of the fault. -EINTR only says that a signal came.
    var isFailure: Bool {
      if case .userspaceExit(let errno) = self { errno < 0 && errno != -4 } else { false }
    }
  }

  /// A thread's fault, while its window is open or until its next fault.
  struct Window: BitwiseCopyable {
    let tid: ThreadID
    fileprivate(set) var isOpen = false
    /// The fault was an access to a device, so far.
    fileprivate(set) var sawMMIO = false
    fileprivate(set) var fault = GuestFault(ipa: IPA(0), esr: ESR(0), far: GuestVA(0), pc: GuestVA(0))
    /// The fault's event.
    fileprivate(set) var begin = TraceMoment.start
    /// The thread's last kvm_entry, `start` before the first. Only who gives every event to `take` has it.
    fileprivate(set) var lastEntry = TraceMoment.start
  }

  /// The place of the event that is looked at.
  private(set) var now = Sequence.start
  /// Its thread; nil for one that has not been seen to run a vCPU or to unmap memory, or has a number that Linux cannot
  /// hand out.
  private(set) var thread: ThreadIndex?
  private var windows: ContiguousArray<Window> = []
  private var table = ThreadTable()

  /// How many threads have a place here.
  var count: Int { windows.count }

  /// The last window of a thread.
  subscript(thread: ThreadIndex) -> Window {
    @inline(__always) get { windows[thread.position] }
  }

  /// Goes on to the next event: finds its thread, and says whether it ends the thread's window and how. The window itself
  /// stays what it is until `take`.
  @inline(__always)
  mutating func end(by record: TraceRecord) -> End? {
    now.advance()
    guard let known = table[record.tid].map({ ThreadIndex($0) }) else {
      thread = record.kind.givesPlace ? place(record.tid) : nil
      return nil
    }
    thread = known
    guard windows[known.position].isOpen else { return nil }
    switch record.kind {
    case .entry: return .entry
    case .userspaceExit: return .userspaceExit(errno: record.userspaceExit.errno)
    case .exit, .guestFault: return .unseen
    default: return nil
    }
  }

  /// `end(by:)` for kvm_entry and kvm_exit, which are most of all events and mostly end no window.
  @inline(__always)
  mutating func end(byRunOf tid: ThreadID, isEntry: Bool) -> End? {
    isOpen(by: tid) ? isEntry ? .entry : .unseen : nil
  }

  /// `end(by:)` for a kvm_guest_fault.
  @inline(__always)
  mutating func end(byFaultOf tid: ThreadID) -> End? { isOpen(by: tid) ? .unseen : nil }

  /// Goes on to an event of a thread that has a place then; whether its window is open.
  @inline(__always)
  private mutating func isOpen(by tid: ThreadID) -> Bool {
    now.advance()
    guard let known = table[tid].map({ ThreadIndex($0) }) else {
      thread = place(tid)
      return false
    }
    thread = known
    return windows[known.position].isOpen
  }

  /// `take(_:)` for a kvm_entry or kvm_exit that ended a window.
  mutating func close() {
    if let thread { windows[thread.position].isOpen = false }
  }

  /// `take(_:)` for a kvm_guest_fault.
  @inline(__always)
  mutating func open(_ fault: GuestFault, at time: Nanoseconds) {
    guard let thread else { return }
    windows.withUnsafeMutableBufferPointer { windows in
      windows[thread.position].isOpen = true
      windows[thread.position].sawMMIO = false
      windows[thread.position].fault = fault
      windows[thread.position].begin = TraceMoment(now, time)
    }
  }

  /// A new thread; nil for numbers that Linux cannot hand out.
  private mutating func place(_ tid: ThreadID) -> ThreadIndex? {
    guard table.insert(tid, position: windows.count) else { return nil }
    windows.append(Window(tid: tid))
    return ThreadIndex(windows.count - 1)
  }

  /// Takes in what the event begins or ends. Must come once for each event, after `end(by:)`.
  @inline(__always)
  mutating func take(_ record: TraceRecord) {
    switch record.kind {
    case .entry:
      guard let thread else { return }
      windows[thread.position].isOpen = false
      windows[thread.position].lastEntry = TraceMoment(now, record.time)
    case .exit, .userspaceExit:
      if let thread { windows[thread.position].isOpen = false }
    case .guestFault:
      open(record.guestFault, at: record.time)
    case .mmio, .mmioNISV:
      if let thread { windows[thread.position].sawMMIO = true }
    default: break
    }
  }
}

extension EventKind {
  /// Whether a thread of the event runs a vCPU, or unmaps memory.
  @inline(__always)
  fileprivate var givesPlace: Bool {
    switch self {
    case .entry, .exit, .guestFault, .unmapHVARange, .setSPTEHVA: true
    default: false
    }
  }
}

/// An event's place in the merged trace, and its time.
struct TraceMoment: BitwiseCopyable {
  var sequence: Sequence
  var time: Nanoseconds

  @inline(__always)
  init(_ sequence: Sequence, _ time: Nanoseconds) {
    self.sequence = sequence
    self.time = time
  }

  /// Before the first event.
  static let start = TraceMoment(.start, Nanoseconds(0))
}
