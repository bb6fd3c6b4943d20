internal import KVMTrace
internal import KVMTypes

/// The unmaps that are under way where the part of a trace begins that is replayed: their events came before, and since then their threads
/// have done nothing else. An unmap may wait for `mmu_lock` long after other faults have got on.
struct UnmapsAhead {
  struct Unmap {
    var tid: ThreadID
    var range: HVARange
  }

  private(set) var list: [Unmap] = []

  /// Takes in an event that comes before the part.
  @inline(__always)
  mutating func take(_ record: TraceRecord) {
    let isUnmap = record.kind == .unmapHVARange || record.kind == .setSPTEHVA
    if isUnmap || !list.isEmpty { update(record, isUnmap: isUnmap) }
  }

  @inline(never)
  private mutating func update(_ record: TraceRecord, isUnmap: Bool) {
    if record.kind == .contentionBegin || record.kind == .contentionEnd { return }
    if record.kind.isOperationProbe { return }
    let range = isUnmap ? record.hvaRange : nil
    // Inside an invalidation only one that overlaps it can begin.
    list.removeAll { unmap in
      unmap.tid == record.tid && !(range?.overlaps(unmap.range) ?? false)
    }
    if let range, range.start < range.end,
      !list.contains(where: { $0.tid == record.tid && $0.range == range })
    {
      list.append(Unmap(tid: record.tid, range: range))
    }
  }

  /// The part begins.
  mutating func takeAll() -> [Unmap] {
    defer { list = [] }
    return list
  }
}
