public import KVMTypes

/// The selected events of a trace in time order, in one streaming pass.
///
/// Each CPU's buffer is in order by itself (where it is not, that is reported, and it stays as recorded), so the
/// streams are merged: a binary heap holds the next stamp of every stream, and whatever the first stream has before
/// the next stamp of any other one goes out as one *run*. Equal stamps go by the order of the streams, then by position, so the
/// result is the same every time. Only one page of every stream is decoded at any moment: memory depends on the
/// number of CPUs and the page size, never on the trace's length.
///
/// Invariant: `streams` holds `streamCount` initialised streams and `counts` one counter more than there are
/// formats, until deinit.
public struct EventReader: ~Copyable {
  private let plan: DecodePlan
  private let streams: UnsafeMutablePointer<CPUStream>
  private let streamCount: Int
  private let counts: UnsafeMutablePointer<UInt64>
  private let formats: EventFormats
  private let file: FileBytes
  /// Whether nothing was missing of the file when the pass began.
  private let beganWhole: Bool
  private var heap: StreamHeap
  /// The stream whose records the last run came from.
  private var current: Int?

  init(file: FileBytes, contents: TraceDatContents, formats: EventFormats, selection: EventSelection) {
    plan = DecodePlan(formats, selection: selection, bigEndian: contents.bigEndian)
    self.formats = formats
    self.file = file
    beganWhole = file.isWhole
    let compression = Compression(name: contents.compression) ?? .none
    let areas = contents.buffers.enumerated().flatMap { index, buffer in buffer.areas.map { (index, $0) } }
    streamCount = areas.count
    streams = .allocate(capacity: max(areas.count, 1))
    counts = .allocate(capacity: formats.formats.count + 1)
    counts.initialize(repeating: 0, count: formats.formats.count + 1)
    heap = StreamHeap(capacity: areas.count)
    for (position, (index, area)) in areas.enumerated() {
      (streams + position).initialize(
        to: CPUStream(
          file: file, contents: contents, compression: compression, bufferIndex: index, area: area))
    }
    for position in 0..<streamCount where streams[position].refill(plan: plan, counts: counts) {
      heap.insert(time: streams[position].records[0].time, stream: position)
    }
  }

  deinit {
    streams.deinitialize(count: streamCount)
    streams.deallocate()
    counts.deallocate()
  }

  /// The next run of events, nil at the end. A run is valid until the next call.
  public mutating func nextRun() -> EventRun? {
    if let index = current {
      current = nil
      let stream = streams + index
      if stream.pointee.hasRecord || stream.pointee.refill(plan: plan, counts: counts) {
        heap.replaceTop(time: stream.pointee.records[stream.pointee.position].time)
      } else {
        heap.removeTop()
      }
    }
    guard let top = heap.top else { return nil }
    let stream = streams + top.stream
    let begin = stream.pointee.position
    var end = begin + 1
    if let limit = heap.second {
      while end < stream.pointee.count,
        StreamHeap.Entry(time: stream.pointee.records[end].time, stream: top.stream) < limit
      {
        end += 1
      }
    } else {
      end = stream.pointee.count
    }
    stream.pointee.position = end
    current = top.stream
    return EventRun(
      records: UnsafeBufferPointer(start: stream.pointee.records + begin, count: end - begin),
      page: stream.pointee.page, bufferIndex: stream.pointee.bufferIndex)
  }

  /// How many damaged places the buffer has had from which the last run came, up to that run, not counting gaps, which
  /// records tell of. A file that turns out in this pass to be shorter than it was, or not readable, is one of every buffer.
  public var damageCountOfRun: Int {
    current.map { streams[$0].doubtCount + (beganWhole && !file.isWhole ? 1 : 0) } ?? 0
  }

  /// What the reader has seen so far; complete once `nextRun` returned nil.
  public var statistics: EventStatistics {
    var result = EventStatistics()
    for index in 0...formats.formats.count where counts[index] > 0 {
      if index == formats.formats.count {
        result.withoutFormat = counts[index]
      } else {
        let format = formats.formats[index]
        result.counts.append(.init(system: format.system, name: format.name, count: counts[index]))
      }
    }
    for index in 0..<streamCount {
      result.losses += streams[index].losses
      result.lossCount += streams[index].lossCount
      result.gapCount += streams[index].gapCount
      result.lostTotal &+= streams[index].lostEvents
      result.damage += streams[index].damage
      if let first = streams[index].first { result.first = min(result.first ?? first, first) }
      if let last = streams[index].last { result.last = max(result.last ?? last, last) }
    }
    if let shrinkage = file.shrinkage { result.damage.insert(shrinkage, at: 0) }
    if let failure = file.failure {
      result.damage.insert(Damage(offset: failure.offset ?? 0, what: failure.what), at: 0)
      result.readFailure = failure
    }
    result.losses.sort { ($0.before, $0.cpu) < ($1.before, $1.cpu) }
    return result
  }
}

/// Consecutive events of one CPU.
///
/// Invariant: `records` and `page` are valid until the reader's next `nextRun`.
public struct EventRun {
  package let records: UnsafeBufferPointer<TraceRecord>
  let page: UnsafeRawBufferPointer
  /// Which of the trace's buffers the events come from.
  public let bufferIndex: Int

  init(records: UnsafeBufferPointer<TraceRecord>, page: UnsafeRawBufferPointer, bufferIndex: Int) {
    self.records = records
    self.page = page
    self.bufferIndex = bufferIndex
  }

  /// Records that lie in no page, so that none of them has data.
  package init(inMemory records: UnsafeBufferPointer<TraceRecord>) {
    self.init(records: records, page: UnsafeRawBufferPointer(start: nil, count: 0), bufferIndex: 0)
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
}

/// What a pass over a trace counted.
public struct EventStatistics: Sendable {
  /// How often one kind of event occurred.
  public struct Count: Hashable, Sendable {
    /// The event's system.
    public var system: String
    /// The event's name.
    public var name: String
    /// How often it occurred.
    public var count: UInt64
  }

  /// The time from the first event to the last.
  public var span: Nanoseconds {
    guard let first, let last, first < last else { return Nanoseconds(0) }
    return Nanoseconds(last.rawValue - first.rawValue)
  }

  /// Nothing was counted.
  package init() {}

  /// All kinds of event that occurred, by their numbers.
  public var counts: [Count] = []
  /// Events whose number no format has.
  public var withoutFormat: UInt64 = 0
  /// The least stamp of all events.
  public var first: Nanoseconds?
  /// The greatest one.
  public var last: Nanoseconds?
  /// Where events are missing: the first thousand places of each processor.
  public var losses: [Loss] = []
  /// How many such places there are in all.
  public var lossCount = 0
  /// At how many of them pages are missing; at the others the kernel lost events.
  public var gapCount = 0
  /// The events known to be lost; gaps of unknown size come on top.
  public var lostTotal: UInt64 = 0
  /// Where pages or chunks are damaged, and where the file ended if it was cut while it was read.
  public var damage: [Damage] = []
  /// Why not all of the file could be read; nil where it could.
  public var readFailure: IngestError?

  /// All events.
  public var total: UInt64 { counts.reduce(withoutFormat) { $0 + $1.count } }
}
