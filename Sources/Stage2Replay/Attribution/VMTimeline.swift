public import KVMTrace
internal import KVMTypes

/// What a replay found out about which VM is behind a thread, an address or a piece of host memory, and when: what a
/// `VMAttributor` goes by. The VMs are numbered as in the report.
///
/// Memory: one entry for each change of a memslot, for each VM, and for each VM of a thread or address.
public struct VMTimeline: Sendable {
  /// From some moment on something belongs to a VM.
  struct Owner: Sendable {
    var since: Nanoseconds
    var vm: Int
  }

  /// From when on a VM is there, up to when, and which thread made its slots.
  struct Life: Sendable {
    var since: Nanoseconds
    var end: Nanoseconds?
    var creator: ThreadID?

    /// Whether it is there at a time at which `other` is, and which lies in a part of the trace.
    func meets(_ other: Life, in part: TracePart) -> Bool {
      let begin = max(since, other.since, part.from ?? Nanoseconds(0))
      guard let end = [end, other.end, part.to].compactMap(\.self).min() else { return true }
      return begin < end
    }
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
  private var lives: [Int: Life] = [:]

  /// Nothing is known.
  public init() {}

  mutating func note(_ change: Change, at time: Nanoseconds) {
    changes.append((time, change))
    if case .end(let vm) = change { lives[vm]?.end = time }
  }

  /// A VM is there from a moment on, or the thread that makes its slots becomes known.
  mutating func note(creator: ThreadID?, ofVM vm: Int, since: Nanoseconds) {
    lives[vm, default: Life(since: since)].creator = creator
  }

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

  /// The VM whose `struct kvm` is being made at an address; nil where it never had a slot.
  func vm(ofNewKVM kvm: KernelAddress, at time: Nanoseconds) -> Int? {
    let owners = kvms[kvm] ?? []
    let next = owners.partitioningIndex { $0.since >= time }
    return next < owners.count ? owners[next].vm : nil
  }

  /// The thread that made a VM's slots, nil where nothing told it.
  func creator(ofVM vm: Int) -> ThreadID? { lives[vm]?.creator }

  /// Whether a thread made the slots of any VM.
  func isCreator(_ tid: ThreadID) -> Bool { lives.values.contains { $0.creator == tid } }

  /// Which VMs a part lacks that has the events of some VMs alone.
  public func others(than chosen: Set<Int>, in part: TracePart) -> SliceMarker.OtherVMs {
    let kept = chosen.compactMap { lives[$0] }
    let areMet = lives.contains { vm, life in
      !chosen.contains(vm) && kept.contains { life.meets($0, in: part) }
    }
    return areMet ? .meanwhile : .elsewhen
  }

  private static func insert(_ owner: Owner, into owners: inout [Owner]) {
    owners.insert(owner, at: owners.partitioningIndex { $0.since > owner.since })
  }

  /// What is known first of something holds for the time before, too.
  private static func owner(_ owners: [Owner]?, at time: Nanoseconds) -> Int? {
    guard let owners, !owners.isEmpty else { return nil }
    return owners[max(owners.partitioningIndex { $0.since > time } - 1, 0)].vm
  }
}
