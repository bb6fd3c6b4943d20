/// Runs of events that were read before anybody asked for them: copies, with all that a run tells but the events' data.
///
/// Invariant: `records` has room for `capacity` records until deinit, of which the first `count` are initialised: those of `runs`,
/// one after another.
struct EventBatch: ~Copyable {
  /// What a run tells besides its records.
  private struct Run {
    var count: Int
    var bufferIndex: Int
    var stream: Int
    var damageCount: Int
    var lackCount: Int
    var pageOffset: Int
  }

  /// So many events a batch has at least, unless the trace ends.
  private let eventsMin: Int
  /// Whether a run may have events of several CPUs.
  private let mixesCPUs: Bool
  private var records: UnsafeMutablePointer<TraceRecord>
  private var capacity: Int
  private var count = 0
  private var runs: [Run] = []
  private var markers: [TraceMarker] = []

  init(ofAtLeast eventsMin: Int, mixesCPUs: Bool) {
    self.eventsMin = eventsMin
    self.mixesCPUs = mixesCPUs
    capacity = 2 * eventsMin
    records = .allocate(capacity: capacity)
  }

  deinit { records.deallocate() }

  /// Takes the next runs of `reader`, in place of those that it held; false where the events end with them.
  mutating func fill(from reader: inout EventReader) -> Bool {
    count = 0
    runs.removeAll(keepingCapacity: true)
    markers.removeAll(keepingCapacity: true)
    while count < eventsMin {
      if mixesCPUs {
        let copied = reader.copyMerged(to: records + count, room: eventsMin - count)
        count += copied
        if copied > 0 {
          runs.append(
            Run(count: copied, bufferIndex: 0, stream: 0, damageCount: 0, lackCount: 0, pageOffset: 0))
          continue
        }
      }
      guard let run = reader.nextRun() else { return false }
      append(run)
    }
    return true
  }

  /// Calls `body` with each run.
  borrowing func forEachRun(_ body: (EventRun) throws -> Void) rethrows {
    try markers.withUnsafeBufferPointer { markers in
      var origin = EventRun.Origin(markers: markers)
      try withUnsafeMutablePointer(to: &origin) { origin in
        var begin = 0
        for run in runs {
          origin.pointee.bufferIndex = run.bufferIndex
          origin.pointee.stream = run.stream
          origin.pointee.damageCount = run.damageCount
          origin.pointee.lackCount = run.lackCount
          origin.pointee.pageOffset = run.pageOffset
          let records = UnsafeBufferPointer(start: records + begin, count: run.count)
          try body(EventRun(records: records, origin: origin))
          begin += run.count
        }
      }
    }
  }

  private mutating func append(_ run: EventRun) {
    if run.count > capacity - count { grow(to: count + run.count) }
    let own = records + count
    own.initialize(from: run.records.baseAddress!, count: run.count)
    for position in 0..<run.count where own[position].kind == .marker {
      // The place of what is none lies behind all lists.
      var place = UInt64.max
      if let marker = run.marker(position) {
        place = UInt64(markers.count)
        markers.append(marker)
      }
      own[position][RecordLayout.Marker.index] = place
    }
    count += run.count
    runs.append(
      Run(
        count: run.count, bufferIndex: run.bufferIndex, stream: run.stream, damageCount: run.damageCount,
        lackCount: run.lackCount, pageOffset: run.pageOffset))
  }

  private mutating func grow(to needed: Int) {
    let larger = UnsafeMutablePointer<TraceRecord>.allocate(capacity: 2 * needed)
    larger.moveInitialize(from: records, count: count)
    records.deallocate()
    (records, capacity) = (larger, 2 * needed)
  }
}
