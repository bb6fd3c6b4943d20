package import KVMTrace
package import KVMTypes

/// The unmaps that are under way where a part of a trace begins: their events came before, and since then their threads have done nothing
/// else. An unmap may wait for `mmu_lock` long after other faults have got on.
///
/// Both go by it: who replays the part, and who cuts it out, for whom `Keepsake` is what is kept of an unmap's event.
package struct UnmapsAhead<Keepsake> {
  package struct Unmap {
    package let tid: ThreadID
    let range: HVARange
    package let keepsake: Keepsake
    /// Its place among all.
    fileprivate let number: Int
  }

  /// By thread, in their order.
  private var unmaps: [ThreadID: [Unmap]] = [:]
  private var count = 0

  /// So many of a thread can lie in one another; of more the first are over.
  private static var nestingMax: Int { 16 }

  /// None.
  package init() {}

  /// Whether there are none.
  @inline(__always)
  var isEmpty: Bool { unmaps.isEmpty }

  /// Takes in an event that comes before the part.
  @inline(__always)
  package mutating func take(_ record: TraceRecord, _ keepsake: @autoclosure () -> Keepsake) {
    let isUnmap = record.kind == .unmapHVARange || record.kind == .setSPTEHVA
    if isUnmap {
      begin(record, keepsake())
    } else if !unmaps.isEmpty {
      end(record)
    }
  }

  @inline(never)
  private mutating func begin(_ record: TraceRecord, _ keepsake: Keepsake) {
    let range = record.hvaRange
    // Inside an invalidation only one that overlaps it can begin.
    var own = (unmaps[record.tid] ?? []).filter { $0.range.overlaps(range) }
    // Of the copies for several VMs of an address space one stands for all.
    if range.start < range.end, !own.contains(where: { $0.range == range }) {
      if own.count == Self.nestingMax { own.removeFirst() }
      own.append(Unmap(tid: record.tid, range: range, keepsake: keepsake, number: count))
      count += 1
    }
    unmaps[record.tid] = own.isEmpty ? nil : own
  }

  /// What a thread does ends its unmaps, unless it can do that inside one.
  @inline(never)
  package mutating func end(_ record: TraceRecord) {
    if Self.isEnd(record.kind) { unmaps[record.tid] = nil }
  }

  /// Whether a thread that does this has no unmap under way any more. A wait for mmu_lock, what probes tell of the unmap itself, and what
  /// is none of KVM's may lie inside one, and so may another unmap.
  package static func isEnd(_ kind: EventKind) -> Bool {
    switch kind {
    case .contentionBegin, .contentionEnd, .lost, .other, .unmapHVARange, .setSPTEHVA: false
    default: !kind.isOperationProbe
    }
  }

  /// Takes those out for which a condition is true, in their order.
  package mutating func takeAll(where isWanted: (Unmap) -> Bool = { _ in true }) -> [Unmap] {
    let taken = unmaps.values.joined().filter(isWanted).sorted { $0.number < $1.number }
    for tid in Set(taken.map(\.tid)) {
      let rest = unmaps[tid]?.filter { !isWanted($0) } ?? []
      unmaps[tid] = rest.isEmpty ? nil : rest
    }
    return taken
  }
}
