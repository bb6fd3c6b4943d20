internal import KVMTrace
internal import KVMTypes

/// The memslots that the probes of a trace record, as a history.
struct MemslotRecorder {
  /// What was recorded so far.
  private(set) var history = MemslotHistory()
  private var roster = VMRoster()
  /// By VM, the slots that it has now.
  private var tables: [MemslotTable] = []
  /// By VM, where in the history the slot is that begins at a frame now.
  private var positions: [[GFN: Int]] = []
  private var requests: MemslotRequests
  private let source: MemslotProbe
  private let pageSize: PageSize

  /// A recorder that listens to one kind of probe.
  init(_ source: MemslotProbe, pageSize: PageSize) {
    self.source = source
    self.pageSize = pageSize
    requests = MemslotRequests(pageSize: pageSize, hasReturns: source == .requestsAndReturns)
  }

  mutating func consume(_ record: TraceRecord) {
    switch record.kind {
    case .commitMemoryRegion where source == .commits:
      if let update = MemslotUpdate(record.memslotCommit, pageSize) {
        apply(update, record.memslotCommit.kvm, record)
      }
    case .setMemoryRegion where source.hasRequests:
      if let (kvm, update) = requests.call(record.memslotRequest, by: record.tid) {
        apply(update, kvm, record)
      }
    case .setMemoryRegionReturn where source == .requestsAndReturns:
      if let (kvm, update) = requests.callReturned(record.probedReturn, to: record.tid) {
        apply(update, kvm, record)
      }
    case .initVM: _ = roster.initVM(record.vmCreation.kvm, record.vmCreation.type)
    case .destroyVM: _ = roster.destroyVM(record.destroyedVM)
    default: break
    }
  }

  private mutating func apply(_ update: MemslotUpdate, _ kvm: KernelAddress, _ record: TraceRecord) {
    let vm = vm(of: update, kvm, record)
    if update.change != .create, let base = update.oldBase {
      let old = tables[vm].remove(base: base)
      let index = positions[vm].removeValue(forKey: base)
      switch (update.change, index) {
      case (.flagsOnly, let index?):
        if let slot = update.slot {
          history.vms[vm].slots[index].changes.append(.init(at: record.time, flags: slot.flags))
          tables[vm].insert(slot)
          positions[vm][base] = index
        }
        return
      case (_, let index?): history.vms[vm].slots[index].to = record.time
      case (.flagsOnly, nil): break
      case (_, nil):
        // The slot was there before the trace began; only where it was is known.
        let slot = Memslot(
          id: nil, base: base, pages: update.oldPages ?? 0, hva: nil, flags: [], basis: .recorded)
        if old == nil, slot.isPossible(pageSize) {
          history.vms[vm].slots.append(.init(slot, to: record.time))
        }
      }
    }
    guard let slot = update.slot else { return }
    tables[vm].insert(slot)
    positions[vm][slot.base] = history.vms[vm].slots.count
    history.vms[vm].slots.append(.init(slot, from: record.time))
  }

  /// The VM of a change: its number in the history.
  private mutating func vm(of update: MemslotUpdate, _ kvm: KernelAddress, _ record: TraceRecord) -> Int {
    let isContradicted = roster.vm(at: kvm).map { update.contradicts(tables[$0.position]) } ?? false
    let answer = roster.setMemoryRegion(
      of: kvm, update.change, by: record.tid, isContradicted: isContradicted)
    if answer.news == .appeared {
      history.vms.append(.init(creator: record.tid, kvm: kvm))
      history.vms[answer.vm.position].isPartial = roster.wasRunning(answer.vm)
      tables.append(MemslotTable(pageSize: pageSize))
      positions.append([:])
    }
    return answer.vm.position
  }
}

/// Which probe tells of a trace's memslots.
enum MemslotProbe: Hashable, Sendable {
  /// That on `kvm_arch_commit_memory_region`: what has happened.
  case commits
  /// That on `kvm_set_memory_region`: what is asked for.
  case requests
  /// That, and the one on its return.
  case requestsAndReturns

  var hasRequests: Bool { self != .commits }
}
