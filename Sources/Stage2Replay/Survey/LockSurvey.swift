internal import KVMTrace
internal import KVMTypes

/// How faults wait for the locks of VMs: whether the host takes `mmu_lock` to write or to read in a fault
/// (`kvm_fault_lock`).
struct LockSurvey {
  /// vCPU threads waited for a VM's lock to write, or to read, inside a fault.
  private(set) var faultWaitsForWrite = 0
  private(set) var faultWaitsForRead = 0
  /// Faults that were taken while another thread's fault was open.
  private(set) var overlappingFaults = 0
  /// The addresses of VMs, whose first field the lock is.
  private var kvms: Set<KernelAddress>
  /// The threads in a fault for which they take whatever lock of a VM they take, and how many they are.
  private var faulting = ThreadSet()
  private var faultingCount = 0

  /// A survey that knows the addresses of some VMs beforehand.
  init(kvms: [KernelAddress]) { self.kvms = Set(kvms) }

  /// Slots of the VM at an address are told of. Whether that is the first that is known of it.
  mutating func note(_ kvm: KernelAddress) -> Bool { kvms.insert(kvm).inserted }

  /// A fault's window begins.
  ///
  /// - Parameter sawEntry: whether the ends of windows are recorded.
  @inline(__always)
  mutating func open(_ kind: FaultKind, _ thread: ThreadIndex?, sawEntry: Bool) {
    guard let thread else { return }
    if sawEntry, faultingCount > 0 { overlappingFaults += 1 }
    // An access flag fault takes the lock to read on either path.
    guard kind != .accessFlag else { return }
    faulting.insert(thread)
    faultingCount += 1
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
  mutating func wait(_ thread: ThreadIndex?, _ lock: KernelAddress, _ flags: ContentionFlags) {
    guard let thread, faulting.contains(thread), kvms.contains(lock) else { return }
    if flags.contains(.write) { faultWaitsForWrite += 1 }
    if flags.contains(.read) { faultWaitsForRead += 1 }
  }
}
