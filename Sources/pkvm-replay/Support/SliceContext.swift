import KVMTrace
import KVMTypes
import Stage2Replay
import TraceExport

/// What comes before a part of a recording and its replay has to know: the events that tell of VMs and their memslots, the markers that
/// tell how the recording was made and of the host, the unmaps that are under way where the part begins, and where events were lost.
struct SliceContext {
  private struct Event {
    let record: TraceRecord
    let payload: [UInt8]
    let buffer: Int

    init(_ run: EventRun, _ position: Int) {
      record = run[position]
      payload = Array(run.payload(position))
      buffer = run.bufferIndex
    }

    init(loss: TraceRecord, buffer: Int) { (record, payload, self.buffer) = (loss, [], buffer) }

    func write(to copy: TraceCopy) throws {
      try payload.withUnsafeBytes { try copy.append(record, $0, ofBuffer: buffer) }
    }
  }

  /// So many events wait at most, beside the unmaps of threads that have done nothing else since. Then the older half is written, and what
  /// was being unmapped before all that; what ends such an unmap later is written, too.
  static let waitingMax = 1 << 16

  private var waiting: [Event] = []
  private var unmaps = UnmapsAhead<Event>()
  /// The threads of unmaps that are written, and not known to have ended.
  private var unmapping: Set<ThreadID> = []
  private var (sawSettings, sawIPALimit) = (false, false)

  /// Whether an event of this kind is kept, however long it was before the part.
  static func isContext(_ kind: EventKind) -> Bool {
    switch kind {
    case .commitMemoryRegion, .setMemoryRegion, .setMemoryRegionReturn, .initVM, .destroyVM: true
    default: false
    }
  }

  /// Events are missing before the part.
  mutating func take(_ loss: TraceRecord, buffer: Int) { waiting.append(Event(loss: loss, buffer: buffer)) }

  /// Takes in an event of before the part, and writes what waits no longer.
  ///
  /// - Parameter marker: the marker that the event is.
  mutating func take(_ run: EventRun, _ position: Int, _ marker: TraceMarker?, to copy: TraceCopy) throws {
    let record = run[position]
    unmaps.take(record, Event(run, position))
    let endsUnmap = endsUnmap(record)
    guard Self.isContext(record.kind) || record.kind == .lost || isNeeded(marker) || endsUnmap else { return }
    waiting.append(Event(run, position))
    if waiting.count >= Self.waitingMax { try writeOlderHalf(to: copy) }
  }

  /// Passes over an event of before the part that is about none of its VMs: its thread unmaps nothing of theirs any more.
  mutating func pass(_ record: TraceRecord) { unmaps.end(record) }

  /// Of the markers before a part the first one counts that says how the recording was made, or of how many bits an IPA is. What the host
  /// counted before is compared with nothing.
  private mutating func isNeeded(_ marker: TraceMarker?) -> Bool {
    switch marker {
    case .lab:
      defer { sawSettings = true }
      return !sawSettings
    case .memory(let marker) where marker.ipaLimit != nil:
      defer { sawIPALimit = true }
      return !sawIPALimit
    default: return false
    }
  }

  private mutating func endsUnmap(_ record: TraceRecord) -> Bool {
    guard !unmapping.isEmpty, UnmapsAhead<Event>.isEnd(record.kind) else { return false }
    return unmapping.remove(record.tid) != nil
  }

  private mutating func writeOlderHalf(to copy: TraceCopy) throws {
    let half = waiting.count / 2
    let time = waiting[half].record.time
    let older = unmaps.takeAll { $0.keepsake.record.time < time }.map(\.keepsake)
    unmapping.formUnion(older.map(\.record.tid))
    try Self.write(waiting[..<half] + older, to: copy)
    waiting.removeFirst(half)
  }

  /// Writes what was kept: the part begins.
  mutating func write(to copy: TraceCopy) throws {
    try Self.write(waiting + unmaps.takeAll().map(\.keepsake), to: copy)
    waiting = []
  }

  /// Writes events in the order of time.
  private static func write(_ events: some Sequence<Event>, to copy: TraceCopy) throws {
    for event in events.sorted(by: { $0.record.time < $1.record.time }) { try event.write(to: copy) }
  }
}
