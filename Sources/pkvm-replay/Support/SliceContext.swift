import KVMTrace
import KVMTypes
import TraceExport

/// What comes before a part of a recording and its replay has to know: the events that tell of VMs and their memslots, the markers, and the
/// unmaps that are under way where the part begins.
struct SliceContext {
  private struct Event {
    let record: TraceRecord
    let payload: [UInt8]
    let buffer: Int
  }

  private var kept: [Event] = []
  /// The unmaps of threads that have done nothing else since.
  private var unmaps: [ThreadID: [Event]] = [:]

  /// Whether an event of this kind is kept, however long it was before the part.
  static func isContext(_ kind: EventKind) -> Bool {
    switch kind {
    case .commitMemoryRegion, .setMemoryRegion, .setMemoryRegionReturn, .initVM, .destroyVM, .marker: true
    default: false
    }
  }

  /// Takes in an event of before the part.
  mutating func take(_ record: TraceRecord, _ payload: UnsafeRawBufferPointer, ofBuffer buffer: Int) {
    switch record.kind {
    case let kind where Self.isContext(kind):
      kept.append(Event(record: record, payload: Array(payload), buffer: buffer))
      unmaps[record.tid] = nil
    case .unmapHVARange, .setSPTEHVA:
      // Inside an unmap only others begin. Of more than can lie in one another the first are over.
      var own = unmaps[record.tid] ?? []
      if own.count == Self.nestingMax { own.removeFirst() }
      own.append(Event(record: record, payload: Array(payload), buffer: buffer))
      unmaps[record.tid] = own
    // A wait for mmu_lock, what probes tell of the unmap itself, and what is none of KVM's may lie inside it.
    case .contentionBegin, .contentionEnd, .lost, .other: break
    case let kind where kind.isOperationProbe: break
    default: if !unmaps.isEmpty { unmaps[record.tid] = nil }
    }
  }

  /// So many unmaps of a thread are kept.
  private static let nestingMax = 16

  /// Writes what was kept, in the order of time.
  func write(to copy: TraceCopy) throws {
    let all = kept + unmaps.values.joined()
    for event in all.sorted(by: { $0.record.time < $1.record.time }) {
      try event.payload.withUnsafeBytes { try copy.append(event.record, $0, ofBuffer: event.buffer) }
    }
  }
}
