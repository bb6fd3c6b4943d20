public import KVMTrace
public import KVMTypes

/// Says which VM an event is about, in a pass over a trace that has been replayed before.
///
/// An event is about
///
/// - the VM whose `struct kvm`, lock or page table it names;
/// - for a notifier, the VMs that have memory in its range: several, where VMs share memory;
/// - else the VM that its thread works for: as a vCPU, or as the creator of its slots. The return of a function is about
///   the VM of the call.
public struct VMAttributor {
  private let timeline: VMTimeline
  private let pageSize: PageSize
  private var position = 0
  private var slots: [Int: MemslotTable] = [:]
  /// The VM of the last stage-2 function that a thread called.
  private var calls: [ThreadID: Int] = [:]

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
      var found: [Int] = []
      for (vm, table) in slots {
        if !table.overlaps(record.hvaRange).isEmpty { found.append(vm) }
      }
      if !found.isEmpty { return found.sorted() }
    default: break
    }
    return vm(of: record).map { [$0] } ?? []
  }

  private mutating func vm(of record: TraceRecord) -> Int? {
    let named: Int?
    switch record.kind {
    case .commitMemoryRegion: named = timeline.vm(ofKVM: record.memslotCommit.kvm, at: record.time)
    case .destroyVM: named = timeline.vm(ofKVM: record.destroyedVM, at: record.time)
    case .setMemoryRegion: named = timeline.vm(ofKVM: record.memslotRequest.kvm, at: record.time)
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
    case .end(let vm): slots[vm] = nil
    }
  }
}
