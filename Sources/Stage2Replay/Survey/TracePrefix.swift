internal import KVMTrace
internal import KVMTypes

/// The beginning of a source that can be read only once, as a source that can be read as often as one likes.
struct TracePrefix: EventSource {
  private let source: any EventSource
  private(set) var buffer = RecordBuffer()
  private var markers: [TraceMarker] = []
  /// Behind which number of events damage lies, with how many damaged places the stream had then, and which of its pages began there.
  private var damaged: [(from: Int, stream: StreamID, count: Int, page: Int)] = []
  private var damagedRuns = DamagedRuns()
  /// What the pass over the source counted, if this is all of it.
  var statistics = EventStatistics()

  init(of source: any EventSource) { self.source = source }

  /// Adds a run of the source.
  mutating func append(_ run: EventRun) {
    if damagedRuns.isBehindDamage(run) {
      damaged.append((buffer.count, run.records[0].stream, run.damageCount, run.pageOffset))
    }
    guard run.records.contains(where: { $0.kind == .marker }) else { return buffer.append(run.records) }
    for position in run.records.indices {
      var record = run.records[position]
      if record.kind == .marker {
        // What it says does not outlive the run: the record tells its place in the list.
        let marker = run.marker(position)
        record[RecordLayout.Marker.index] = marker == nil ? .max : UInt64(markers.count)
        if let marker { markers.append(marker) }
      }
      withUnsafePointer(to: record) { buffer.append(UnsafeBufferPointer(start: $0, count: 1)) }
    }
  }

  /// Takes the events out, for which nobody will ask any more.
  mutating func takeBuffer() -> RecordBuffer {
    defer { buffer = RecordBuffer() }
    return buffer
  }

  var path: String { source.path }
  var format: String { source.format }
  var uname: String { source.uname }
  var cpuCount: Int { source.cpuCount }
  var pageSize: PageSize? { source.pageSize }
  var pageBytesMax: Int? { source.pageBytesMax }
  var account: SourceAccount { source.account }
  var hasOperationProbes: Bool { source.hasOperationProbes }
  var hasForeignKVMEvents: Bool { source.hasForeignKVMEvents }
  var clock: TraceClock? { source.clock }
  var damage: [Damage] { source.damage }
  var canBeReadTwice: Bool { true }

  func command(of tid: ThreadID) -> String? { source.command(of: tid) }

  func forEachRun(
    _ selection: EventSelection, _ body: (EventRun) throws -> Void
  ) rethrows -> EventStatistics {
    var begin = 0
    try markers.withUnsafeBufferPointer { markers in
      try buffer.forEachRun { glued in
        for records in pieces(of: glued, from: begin) {
          let stream = records[0].stream
          let damage = damaged.last { $0.stream == stream && $0.from <= begin }
          let isWanted = { selection.includesOperationProbes || !records[$0].kind.isOperationProbe }
          var first = 0
          while first < records.count {
            let last = (first..<records.count).first { !isWanted($0) } ?? records.count
            if last > first {
              let wanted = UnsafeBufferPointer(rebasing: records[first..<last])
              try EventRun.with(
                wanted, markers: markers, damageCount: damage?.count ?? 0, pageOffset: damage?.page ?? 0,
                body)
            }
            first = max(last, first + 1)
          }
          begin += records.count
        }
      }
    }
    return statistics
  }

  /// Consecutive events of one stream, which may have come in several runs, cut where damage lies between them.
  private func pieces(
    of records: UnsafeBufferPointer<TraceRecord>, from begin: Int
  ) -> [UnsafeBufferPointer<TraceRecord>] {
    let cuts = damaged.lazy.filter { $0.stream == records[0].stream }.map { $0.from - begin }
      .filter { $0 > 0 && $0 < records.count }
    var pieces: [UnsafeBufferPointer<TraceRecord>] = []
    var first = 0
    for cut in cuts + [records.count] {
      pieces.append(UnsafeBufferPointer(rebasing: records[first..<cut]))
      first = cut
    }
    return pieces
  }
}
