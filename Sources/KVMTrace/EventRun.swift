/// Consecutive events of one CPU, one at least, in the order of time: the piece in which a source hands its events down.
///
/// Equal stamps aside, no event of another CPU lies between them. A `.lost` record stands before the first event behind a loss.
///
/// Invariant: `records`, `page` and what `origin` points to are valid until the source goes on to the next run.
public struct EventRun {
  /// Where the markers of a run are found.
  private enum Origin {
    /// In the data of its events, which `page` holds.
    case page(Unmanaged<EventFormats>)
    /// In a list; `RecordLayout.Marker.index` says where.
    case list(UnsafeBufferPointer<TraceMarker>)
  }

  package let records: UnsafeBufferPointer<TraceRecord>
  private let page: UnsafeRawBufferPointer
  private let origin: Origin
  /// Which of the trace's buffers the events come from.
  public let bufferIndex: Int
  /// How many damaged places the CPU's events had so far behind which nothing is certain: what is missing there, no `.lost` record
  /// tells. Where the number is greater than in the CPU's run before, the damage lies between the two.
  public let damageCount: Int

  /// Events that were decoded from `page` of a trace with these formats, which the caller keeps alive.
  init(
    records: UnsafeBufferPointer<TraceRecord>, page: UnsafeRawBufferPointer, formats: EventFormats,
    bufferIndex: Int, damageCount: Int
  ) {
    self.records = records
    self.page = page
    origin = .page(Unmanaged.passUnretained(formats))
    self.bufferIndex = bufferIndex
    self.damageCount = damageCount
  }

  /// Events that lie in no page, so that none of them has data: one at least, all of one CPU, in the order of time.
  ///
  /// - Parameter markers: what those of them say that are markers, each by its `RecordLayout.Marker.index`. One without a place
  ///   in the list is somebody else's text.
  public init(
    records: UnsafeBufferPointer<TraceRecord>,
    markers: UnsafeBufferPointer<TraceMarker> = UnsafeBufferPointer(start: nil, count: 0),
    damageCount: Int = 0
  ) {
    precondition(!records.isEmpty)
    self.records = records
    page = UnsafeRawBufferPointer(start: nil, count: 0)
    origin = .list(markers)
    bufferIndex = 0
    self.damageCount = damageCount
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
    guard page.count > 0 else { return page }
    return UnsafeRawBufferPointer(rebasing: page[begin..<(begin + Int(record.payloadLength))])
  }

  /// The marker that the event at `position` is; nil for every other event.
  public func marker(_ position: Int) -> TraceMarker? {
    let record = records[position]
    guard record.kind == .marker else { return nil }
    switch origin {
    case .page(let formats):
      return formats.takeUnretainedValue().marker(payload(position), id: record.formatID)
    case .list(let markers):
      let index = record[RecordLayout.Marker.index]
      return index < UInt64(markers.count) ? markers[Int(index)] : nil
    }
  }
}
