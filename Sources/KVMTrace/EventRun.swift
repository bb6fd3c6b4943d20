/// Consecutive events of one CPU, one at least, in the order of time: the piece in which a source hands its events down.
///
/// Equal stamps aside, no event of another CPU lies between them. Where `EventSelection.mixesCPUs` allows it, they may be of several
/// CPUs. A `.lost` record stands before the first event behind a loss.
///
/// Invariant: `records` and what `origin` points to are valid until the source goes on to the next run. A run is as small as that:
/// there is one for every few events.
public struct EventRun {
  /// What the events of a stream have in common, for as long as they come from one page.
  @usableFromInline
  struct Origin {
    /// The page that holds the data of the events, empty where none does.
    var page = UnsafeRawBufferPointer(start: nil, count: 0)
    /// What finds markers in it.
    var formats: Unmanaged<EventFormats>?
    /// The markers of events that lie in no page.
    var markers = UnsafeBufferPointer<TraceMarker>(start: nil, count: 0)
    var bufferIndex = 0
    var stream = 0
    @usableFromInline var damageCount = 0
    var lackCount = 0
    /// Where in the file the page begins.
    var pageOffset = 0
  }

  package let records: UnsafeBufferPointer<TraceRecord>
  @usableFromInline let origin: UnsafePointer<Origin>
  /// Which of the trace's buffers the events come from.
  public var bufferIndex: Int { origin.pointee.bufferIndex }
  /// How many damaged places the events' stream had so far behind which nothing is certain: what is missing there, no `.lost` record
  /// tells. Where the number is greater than in the run before of the same `lane` and CPU, the damage lies between the two.
  @inlinable
  public var damageCount: Int { origin.pointee.damageCount }

  /// Which of the trace's streams the events come from, each of which is in order by itself: of one CPU of a buffer, or of several.
  /// 0 for events of several streams, of which each record tells its own.
  package var stream: Int { origin.pointee.stream }
  /// Where in the file the page begins that the events come from: damage that it counts may also lie behind its own events. Those of a run
  /// are of one page, but for runs that mix CPUs, which have no damage.
  package var pageOffset: Int { origin.pointee.pageOffset }
  /// How many damaged places the stream had so far at which something is missing that nothing else tells of.
  package var lackCount: Int { origin.pointee.lackCount }

  init(records: UnsafeBufferPointer<TraceRecord>, origin: UnsafePointer<Origin>) {
    self.records = records
    self.origin = origin
  }

  /// Calls `body` with events that lie in no page, so that none of them has data: one at least, all of one CPU, in the order of
  /// time.
  ///
  /// - Parameters:
  ///   - markers: what those of them say that are markers, each by its `RecordLayout.Marker.index`. One without a place in the
  ///     list is somebody else's text.
  ///   - damageCount: how many damaged places the events' stream had so far.
  ///   - pageOffset: where in the file the page began that they come from.
  public static func with(
    _ records: UnsafeBufferPointer<TraceRecord>,
    markers: UnsafeBufferPointer<TraceMarker> = UnsafeBufferPointer(start: nil, count: 0),
    damageCount: Int = 0, pageOffset: Int = 0, _ body: (EventRun) throws -> Void
  ) rethrows {
    precondition(!records.isEmpty)
    let origin = Origin(markers: markers, damageCount: damageCount, pageOffset: pageOffset)
    try withUnsafePointer(to: origin) { origin in
      try body(EventRun(records: records, origin: origin))
    }
  }

  /// How many events the run has, at least one.
  public var count: Int { records.count }

  /// The event at `position`.
  public subscript(position: Int) -> TraceRecord { records[position] }

  /// Calls `body` with all records.
  public func withRecords<Result>(
    _ body: (UnsafeBufferPointer<TraceRecord>) throws -> Result
  ) rethrows -> Result {
    try body(records)
  }

  /// The raw data of the event at `position`, empty for a loss and for a record that lies in no page.
  public func payload(_ position: Int) -> UnsafeRawBufferPointer {
    let record = records[position]
    let begin = Int(record.payloadOffset)
    let page = origin.pointee.page
    guard page.count > 0 else { return page }
    return UnsafeRawBufferPointer(rebasing: page[begin..<(begin + Int(record.payloadLength))])
  }

  /// The marker that the event at `position` is; nil for every other event.
  public func marker(_ position: Int) -> TraceMarker? {
    let record = records[position]
    guard record.kind == .marker else { return nil }
    if let formats = origin.pointee.formats {
      return formats.takeUnretainedValue().marker(payload(position), id: record.formatID)
    }
    let (index, markers) = (record[RecordLayout.Marker.index], origin.pointee.markers)
    return index < UInt64(markers.count) ? markers[Int(index)] : nil
  }
}
