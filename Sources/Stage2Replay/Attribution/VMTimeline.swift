internal import KVMTypes

/// What a replay found out about which VM is behind a thread, an address or a piece of host memory, and when: what a
/// `VMAttributor` goes by. The VMs are numbered as in the report.
///
/// Memory: one entry for each change of a memslot, and for each VM of a thread or address.
public struct VMTimeline: Sendable {
  /// From some moment on something belongs to a VM.
  struct Owner: Sendable {
    var since: Nanoseconds
    var vm: Int
  }

  /// What happens to a VM's memslots.
  enum Change: Sendable {
    case remove(vm: Int, base: GFN)
    case insert(vm: Int, Memslot)
    /// All of them are gone.
    case end(vm: Int)
  }

  /// In the order of time.
  private(set) var changes: [(time: Nanoseconds, change: Change)] = []
  /// By `struct kvm`, which begins with the VM's `mmu_lock`.
  private var kvms: [KernelAddress: [Owner]] = [:]
  /// By `struct kvm_pgtable`.
  private var pageTables: [KernelAddress: [Owner]] = [:]
  /// The threads that run the VMs' vCPUs, and those that create their slots.
  private var threads: [ThreadID: [Owner]] = [:]

  /// Nothing is known.
  public init() {}

  mutating func note(_ change: Change, at time: Nanoseconds) { changes.append((time, change)) }

  mutating func note(kvm: KernelAddress?, ofVM vm: Int, since: Nanoseconds) {
    if let kvm { Self.insert(Owner(since: since, vm: vm), into: &kvms[kvm, default: []]) }
  }

  mutating func note(pageTable: KernelAddress, ofVM vm: Int, since: Nanoseconds) {
    Self.insert(Owner(since: since, vm: vm), into: &pageTables[pageTable, default: []])
  }

  mutating func note(thread: ThreadID?, ofVM vm: Int, since: Nanoseconds) {
    if let thread { Self.insert(Owner(since: since, vm: vm), into: &threads[thread, default: []]) }
  }

  /// The VM whose `struct kvm` lies at an address.
  func vm(ofKVM kvm: KernelAddress, at time: Nanoseconds) -> Int? { Self.owner(kvms[kvm], at: time) }

  /// The VM whose page table lies at an address.
  func vm(ofPageTable table: KernelAddress, at time: Nanoseconds) -> Int? {
    Self.owner(pageTables[table], at: time)
  }

  /// The VM that a thread works for.
  func vm(ofThread tid: ThreadID, at time: Nanoseconds) -> Int? { Self.owner(threads[tid], at: time) }

  private static func insert(_ owner: Owner, into owners: inout [Owner]) {
    owners.insert(owner, at: owners.partitioningIndex { $0.since > owner.since })
  }

  /// What is known first of something holds for the time before, too.
  private static func owner(_ owners: [Owner]?, at time: Nanoseconds) -> Int? {
    guard let owners, !owners.isEmpty else { return nil }
    return owners[max(owners.partitioningIndex { $0.since > time } - 1, 0)].vm
  }
}
