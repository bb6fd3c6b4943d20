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
  /// How many VMs had changes of memslots; 0 where no probe recorded any.
  public var vmCount: Int { roster.count }
  /// How many memslot changes were recorded.
  public private(set) var slotChanges = 0
  /// How often a guest of a guest was entered; where no event tells, how often a guest's ERET was trapped, which leads there.
  public var nestedEntries: UInt64 { entries.nested > 0 ? entries.nested : entries.trapped }

  private var entries: (nested: UInt64, trapped: UInt64) = (0, 0)
  private var positions = ThreadTable()
  private var roster = VMRoster()
  /// By VM.
  private var slots: [MemslotTable] = []
  private let pageSize: PageSize

  /// A census of a host with pages of `pageSize`.
  public init(pageSize: PageSize) { self.pageSize = pageSize }

  /// Takes in consecutive events of one CPU.
  public mutating func consume(_ run: EventRun) {
    let records = run.records
    for index in records.indices {
      switch records[index].kind {
      case .entry: if let position = position(of: records[index].tid) { vcpus[position].entries += 1 }
      case .guestFault: if let position = position(of: records[index].tid) { vcpus[position].faults += 1 }
      case .exit: if records[index].vcpuExit.isERET { entries.trapped += 1 }
      case .nestedERET: if !records[index].nestedRegime.isHypervisor { entries.nested += 1 }
      case .commitMemoryRegion: commit(records[index])
      case .initVM: _ = roster.initVM(records[index].vmCreation.kvm, records[index].vmCreation.type)
      case .destroyVM: _ = roster.destroyVM(records[index].destroyedVM)
      default: break
      }
    }
  }

  @inline(__always)
  private mutating func position(of tid: ThreadID) -> Int? {
    positions[tid] ?? place(tid)
  }

  private mutating func place(_ tid: ThreadID) -> Int? {
    guard positions.insert(tid, position: vcpus.count) else { return nil }
    vcpus.append(VCPU(tid: tid, entries: 0, faults: 0))
    return vcpus.count - 1
  }

  private mutating func commit(_ record: TraceRecord) {
    slotChanges += 1
    let commit = record.memslotCommit
    // What a damaged event says is no slot.
    guard let update = MemslotUpdate(commit, pageSize) else { return }
    let isContradicted = roster.vm(at: commit.kvm).map { update.contradicts(slots[$0.position]) } ?? false
    let answer = roster.setMemoryRegion(
      of: commit.kvm, update.change, by: record.tid, isContradicted: isContradicted)
    if answer.news == .appeared { slots.append(MemslotTable(pageSize: pageSize)) }
    if let base = update.oldBase { _ = slots[answer.vm.position].remove(base: base) }
    if let slot = update.slot { slots[answer.vm.position].insert(slot) }
  }
}
