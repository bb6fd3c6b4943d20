internal import KVMTrace
internal import KVMTypes

/// How faults wait for the locks of VMs: whether the host takes `mmu_lock` to write or to read in a fault
/// (`kvm_fault_lock`).
struct LockSurvey {
  /// A vCPU thread waited for a VM's lock inside a fault.
  private struct FaultWait {
    /// When the fault came, and when the thread began to wait.
    let since: Nanoseconds
    let begin: Nanoseconds
    let flags: ContentionFlags
  }

  /// The first such waits of which nothing says that they were of something else.
  private var faultWaits: [FaultWait] = []
  /// So many say how a host takes the lock.
  private static let faultWaitsMax = 1 << 12
  /// Faults that were taken while another thread's fault was open.
  private(set) var overlappingFaults = 0
  /// The addresses of VMs, whose first field the lock is.
  private var kvms: Set<KernelAddress>
  /// The threads in a fault for which they take whatever lock of a VM they take, and how many they are.
  private var faulting = ThreadSet()
  private var faultingCount = 0
  /// By `ThreadIndex`, when the last of such faults of a thread came.
  private var begins: ContiguousArray<Nanoseconds> = []

  /// A survey that knows the addresses of some VMs beforehand.
  init(kvms: [KernelAddress]) { self.kvms = Set(kvms) }

  /// Slots of the VM at an address are told of. Whether that is the first that is known of it.
  mutating func note(_ kvm: KernelAddress) -> Bool { kvms.insert(kvm).inserted }

  /// How many waits for a VM's lock inside a fault were to write, and to read.
  var faultWaitsForWrite: Int { faultWaits.count { $0.flags.contains(.write) } }
  var faultWaitsForRead: Int { faultWaits.count { $0.flags.contains(.read) } }

  /// Events are missing in `gaps`, which are in order. A fault that came before one may have been over in it: what its thread waited for
  /// behind that may have been another lock, or the same for a notifier.
  mutating func forgetWaits(across gaps: [Range<UInt64>]) {
    faultWaits.removeAll { wait in
      let first = gaps.partitioningIndex { $0.upperBound > wait.since.rawValue }
      return first < gaps.count && gaps[first].lowerBound < wait.begin.rawValue
    }
  }

  /// A fault's window begins at a moment.
  ///
  /// - Parameter sawEntry: whether the ends of windows are recorded.
  @inline(__always)
  mutating func open(_ kind: FaultKind, _ thread: ThreadIndex?, at time: Nanoseconds, sawEntry: Bool) {
    guard let thread else { return }
    if sawEntry, faultingCount > 0 { overlappingFaults += 1 }
    // An access flag fault takes the lock to read on either path.
    guard kind != .accessFlag else { return }
    faulting.insert(thread)
    faultingCount += 1
    while begins.count <= thread.position { begins.append(Nanoseconds(0)) }
    begins[thread.position] = time
  }

  /// The window of a thread's fault ended.
  @inline(__always)
  mutating func close(_ thread: ThreadIndex) {
    guard faulting.contains(thread) else { return }
    faulting.remove(thread)
    faultingCount -= 1
  }

  /// A notifier takes the lock to write on either path.
  mutating func notify(_ thread: ThreadIndex?) { if let thread { close(thread) } }

  /// contention_begin.
  mutating func wait(_ thread: ThreadIndex?, _ record: TraceRecord) {
    guard let thread, faulting.contains(thread), kvms.contains(record.contendedLock),
      faultWaits.count < Self.faultWaitsMax
    else { return }
    faultWaits.append(
      FaultWait(since: begins[thread.position], begin: record.time, flags: record.contentionFlags))
  }
}
