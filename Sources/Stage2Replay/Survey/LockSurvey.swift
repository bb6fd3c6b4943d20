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
  /// By `ThreadIndex`, whether it is in a fault and whatever lock of a VM it takes is for the fault; and how many are.
  private var isInFault: ContiguousArray<Bool> = []
  private var inFault = 0

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
    while isInFault.count <= thread.position { isInFault.append(false) }
    if sawEntry, inFault > 0 { overlappingFaults += 1 }
    // An access flag fault takes the lock to read on either path.
    guard kind != .accessFlag else { return }
    isInFault[thread.position] = true
    inFault += 1
  }

  /// The window of a thread's fault ended.
  @inline(__always)
  mutating func close(_ thread: ThreadIndex) {
    guard thread.position < isInFault.count, isInFault[thread.position] else { return }
    isInFault[thread.position] = false
    inFault -= 1
  }

  /// A notifier takes the lock to write on either path.
  mutating func notify(_ thread: ThreadIndex?) { if let thread { close(thread) } }

  /// contention_begin.
  mutating func wait(_ thread: ThreadIndex?, _ lock: KernelAddress, _ flags: ContentionFlags) {
    guard let thread, thread.position < isInFault.count, isInFault[thread.position], kvms.contains(lock)
    else {
      return
    }
    if flags.contains(.write) { faultWaitsForWrite += 1 }
    if flags.contains(.read) { faultWaitsForRead += 1 }
  }
}
