public import KVMTrace
public import KVMTypes

/// Says which VM an event is about, in a pass over a trace that has been replayed before.
///
/// An event is about
///
/// - the VM whose `struct kvm`, lock or page table it names;
/// - for a notifier, the VMs that have memory in its range: several, where VMs share memory, but not those of another process than
///   the one whose memory its thread certainly changes;
/// - else the VM that its thread works for: as a vCPU, or as the creator of its slots. The return of a function is about
///   the VM of the call.
public struct VMAttributor {
  private let timeline: VMTimeline
  private let pageSize: PageSize
  private var position = 0
  private var slots: [Int: MemslotTable] = [:]
  /// The VM of the last stage-2 function that a thread called.
  private var calls: [ThreadID: Int] = [:]
  /// The VM whose slots a thread asked last to change.
  private var requests: [ThreadID: Int] = [:]
  /// The VMs that are gone.
  private var ended: Set<Int> = []

  /// An attributor for the events of a host with pages of `pageSize`.
  public init(_ timeline: VMTimeline, pageSize: PageSize) {
    self.timeline = timeline
    self.pageSize = pageSize
  }

  /// The VMs that an event is about, in ascending order; none where that is not known. All events of the trace must
  /// come, in their order.
  public mutating func vms(of record: TraceRecord) -> [Int] {
    while position < timeline.changes.count, timeline.changes[position].time <= record.time {
      apply(timeline.changes[position].change)
      position += 1
    }
    switch record.kind {
    case .unmapHVARange, .ageHVA, .testAgeHVA, .setSPTEHVA:
      let found = vms(changing: record.hvaRange, record)
      if !found.isEmpty { return found.sorted() }
    default: break
    }
    return vm(of: record).map { [$0] } ?? []
  }

  /// The VMs with memory in a range that may be the one which a thread changes there, as `MemoryChange` has it.
  private func vms(changing range: HVARange, _ record: TraceRecord) -> [Int] {
    var found: [Int] = []
    for (vm, table) in slots {
      if !table.overlaps(range).isEmpty { found.append(vm) }
    }
    guard let own = timeline.vm(ofThread: record.tid, at: record.time), !found.isEmpty else { return found }
    let creator = timeline.creator(ofVM: own)
    func isOwn(_ vm: Int) -> Bool { vm == own || creator != nil && timeline.creator(ofVM: vm) == creator }
    // One folio may be reclaimed whosever it is; what the thread's own VMs have there is taken for theirs.
    let mayBeOthers = range.isFolio(pageSize) && !found.contains(where: isOwn)
    // Of a thread that has no VM any more nobody knows whose memory it changes.
    if mayBeOthers || ended.contains(own) && !timeline.isCreator(record.tid) { return found }
    return found.filter(isOwn)
  }

  private mutating func vm(of record: TraceRecord) -> Int? {
    let named: Int?
    switch record.kind {
    case .commitMemoryRegion: named = timeline.vm(ofKVM: record.memslotCommit.kvm, at: record.time)
    case .destroyVM: named = timeline.vm(ofKVM: record.destroyedVM, at: record.time)
    case .initVM: return timeline.vm(ofNewKVM: record.vmCreation.kvm, at: record.time)
    case .setMemoryRegion:
      named = timeline.vm(ofKVM: record.memslotRequest.kvm, at: record.time)
      requests[record.tid] = named
    case .setMemoryRegionReturn: named = requests[record.tid]
    case .probeAgeGFN, .probeUnmapGFN: named = timeline.vm(ofKVM: record.probedRange.kvm, at: record.time)
    case .contentionBegin, .contentionEnd: named = timeline.vm(ofKVM: record.contendedLock, at: record.time)
    default:
      if record.kind.operation != nil {
        named = timeline.vm(ofPageTable: record.probedOperation.pageTable, at: record.time)
        calls[record.tid] = named
      } else if record.kind.returnedOperation != nil {
        named = calls[record.tid]
      } else {
        named = nil
      }
    }
    return named ?? timeline.vm(ofThread: record.tid, at: record.time)
  }

  private mutating func apply(_ change: VMTimeline.Change) {
    switch change {
    case .insert(let vm, let slot): slots[vm, default: MemslotTable(pageSize: pageSize)].insert(slot)
    case .remove(let vm, let base): _ = slots[vm]?.remove(base: base)
    case .end(let vm):
      slots[vm] = nil
      ended.insert(vm)
    }
  }
}
