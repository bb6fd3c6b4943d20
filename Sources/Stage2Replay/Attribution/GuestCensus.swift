public import KVMTrace
public import KVMTypes

/// Which VMs and vCPU threads a trace shows: the part of the attribution that needs no model.
public struct GuestCensus: Sendable {
  /// A thread that entered a guest.
  public struct VCPU: Hashable, Sendable {
    /// The thread.
    public var tid: ThreadID
    /// How often it entered.
    public var entries: UInt64
    /// How many stage-2 faults it took.
    public var faults: UInt64
  }

  /// The vCPU threads, in the order of appearance.
  public private(set) var vcpus: [VCPU] = []
  /// How many VMs created memslots; 0 where no probe recorded that.
  public private(set) var vmCount = 0
  /// How many memslot changes were recorded.
  public private(set) var slotChanges = 0

  private var positions = ThreadTable()
  private var slots: [KernelAddress: MemslotTable] = [:]
  private let pageSize: PageSize

  /// A census of a host with pages of `pageSize`.
  public init(pageSize: PageSize) { self.pageSize = pageSize }

  /// Takes in consecutive events of one CPU.
  public mutating func consume(_ run: EventRun) {
    run.withRecords { records in
      for index in records.indices { consume(records[index]) }
    }
  }

  private mutating func consume(_ record: TraceRecord) {
    switch record.kind {
    case .entry:
      if let position = position(of: record.tid) { vcpus[position].entries += 1 }
    case .guestFault:
      if let position = position(of: record.tid) { vcpus[position].faults += 1 }
    case .commitMemoryRegion: consume(record.memslotCommit)
    default: break
    }
  }

  private mutating func position(of tid: ThreadID) -> Int? {
    if let known = positions[tid] { return known }
    guard positions.insert(tid, position: vcpus.count) else { return nil }
    vcpus.append(VCPU(tid: tid, entries: 0, faults: 0))
    return vcpus.count - 1
  }

  private mutating func consume(_ commit: MemslotCommit) {
    slotChanges += 1
    // What a damaged event says is no slot.
    let slot = Memslot(
      id: commit.id, base: commit.base, pages: commit.pages, hva: commit.hva, flags: commit.flags,
      basis: .recorded)
    guard slot.isPossible(pageSize) else { return }
    let isNew = MemslotUpdate(commit, pageSize).map { slots[commit.kvm].map($0.contradicts) ?? true } ?? false
    if commit.change == .create, isNew {
      vmCount += 1
      slots[commit.kvm] = MemslotTable(pageSize: pageSize)
    }
    if let base = commit.oldBase { _ = slots[commit.kvm]?.remove(base: base) }
    if commit.change != .delete { slots[commit.kvm]?.insert(slot) }
  }
}
