internal import KVMTypes

/// The selected events of a trace in time order, in one streaming pass.
///
/// Each CPU's buffer is in order by itself (where it is not, that is reported, and it stays as recorded), so the
/// streams are merged (in a recording of another tool that has all CPUs in one order it is one stream): a tournament tells the stream with the next stamp, and whatever the first stream has before
/// the next stamp of any other one goes out as one *run*. Equal stamps go by the order of the streams, then by position, so the
/// result is the same every time. Only one page of every stream is decoded at any moment: memory depends on the
/// number of CPUs and the page size, never on the trace's length.
///
/// Invariant: `streams` and `origins` hold `streamCount` initialised elements and `counts` one counter more than there are
/// formats, until deinit.
public struct EventReader: ~Copyable {
  private let plan: DecodePlan
  private let streams: UnsafeMutablePointer<CPUStream>
  private let streamCount: Int
  private let origins: UnsafeMutablePointer<EventRun.Origin>
  private let counts: UnsafeMutablePointer<UInt64>
  private let formats: EventFormats
  private let file: FileBytes
  /// Whom it tells how far it is.
  private let pass: ReadingPass?
  /// How many events were lost that no stream has the number of.
  private let lostSomewhere: UInt64
  /// Where in the file the text of each format lies; none where events bear numbers that were given to them here.
  private let formatOffsets: [Int]
  /// Whether nothing was missing of the file when the pass began.
  private let beganWhole: Bool
  /// A file that turns out in this pass to be shorter than it was, or not readable, is a damaged place of every buffer.
  private var fileDamageCount = 0
  private var tournament: StreamTournament
  /// The stream whose records the last run came from.
  private var current: Int?
  /// Whether any stream had a damaged place so far behind which nothing is certain.
  private var isDamaged = false

  /// A stream of events, and which buffer of the trace it is of.
  struct Stream {
    let source: any PageSupply
    let bufferIndex: Int
    let clock: TraceClock?
    /// Whether each CPU's first event may be written twice.
    let mayRepeat: Bool
  }

  init(
    _ sources: [Stream], file: FileBytes, contents: TraceDatContents, formats: EventFormats,
    selection: EventSelection, lostSomewhere: UInt64 = 0, hasKernelNumbers: Bool = true,
    pass: ReadingPass? = nil
  ) {
    formatOffsets = hasKernelNumbers ? formats.positions.map { contents.formats[$0].offset } : []
    self.pass = pass
    self.lostSomewhere = lostSomewhere
    plan = DecodePlan(formats, selection: selection, bigEndian: contents.bigEndian)
    self.formats = formats
    self.file = file
    beganWhole = file.isWhole
    streamCount = sources.count
    streams = .allocate(capacity: max(sources.count, 1))
    origins = .allocate(capacity: max(sources.count, 1))
    counts = .allocate(capacity: formats.formats.count + 1)
    counts.initialize(repeating: 0, count: formats.formats.count + 1)
    let lanes = StreamID.lanes(ofStreamsOf: sources.map(\.source.cpu))
    for (position, stream) in sources.enumerated() {
      (streams + position).initialize(
        to: CPUStream(
          stream.source, lanes: lanes[position], contents: contents, clock: stream.clock,
          mayRepeat: stream.mayRepeat))
      (origins + position).initialize(
        to: EventRun.Origin(
          formats: Unmanaged.passUnretained(formats), bufferIndex: stream.bufferIndex, stream: position))
    }
    tournament = StreamTournament([])
    var first: [Nanoseconds?] = []
    for index in 0..<streamCount {
      let hasRecord = streams[index].refill(plan: plan, counts: counts)
      pass?.reach(streams[index].pageOffset, stream: index, events: streams[index].count)
      first.append(hasRecord ? streams[index].records[streams[index].position].time : nil)
      origins[index].page = streams[index].page
    }
    tournament = StreamTournament(first)
    fileDamageCount = beganWhole && !file.isWhole ? 1 : 0
    for index in 0..<streamCount { noteDamage(of: index) }
  }

  deinit {
    streams.deinitialize(count: streamCount)
    streams.deallocate()
    origins.deallocate()
    counts.deallocate()
  }

  /// The next run of events, nil at the end. A run is valid until the next call.
  public mutating func nextRun() -> EventRun? {
    leaveRun()
    guard let top = tournament.top else { return nil }
    let stream = streams + top
    let records = stream.pointee.records
    let begin = stream.pointee.position
    let end = tournament.bound.map { stream.pointee.end(before: $0) } ?? stream.pointee.count
    stream.pointee.position = end
    current = top
    return EventRun(
      records: UnsafeBufferPointer(start: records + begin, count: end - begin), origin: origins + top)
  }

  /// Copies the next events, whatever CPUs they are of: up to the next marker, to the first damaged place, or to as many as there
  /// is room for. The records of a few hundred events lie side by side so, where runs are of one or two.
  ///
  /// - Returns: how many were copied; none at the end, and where `nextRun` has to tell what comes next.
  mutating func copyMerged(to target: UnsafeMutablePointer<TraceRecord>, room: Int) -> Int {
    leaveRun()
    var copied = 0
    while copied < room, !isDamaged, let top = tournament.top {
      let stream = streams + top
      let (records, count) = (stream.pointee.records, stream.pointee.count)
      let begin = stream.pointee.position
      let end = min(count, begin &+ (room &- copied))
      let bound = tournament.bound ?? Nanoseconds(.max)
      var position = begin
      repeat {
        if records[position].kind == .marker { break }
        (target + copied).initialize(to: records[position])
        copied &+= 1
        position &+= 1
      } while position < end && records[position].time < bound
      stream.pointee.position = position
      if position == begin { break }
      goOn(top)
    }
    return copied
  }

  /// The records of the last run are needed no more.
  @inline(__always)
  private mutating func leaveRun() {
    guard let index = current else { return }
    current = nil
    goOn(index)
  }

  /// The stream that was first has been read on.
  @inline(__always)
  private mutating func goOn(_ index: Int) {
    let stream = streams + index
    if stream.pointee.hasRecord || refill(index) {
      tournament.replaceTop(time: stream.pointee.records[stream.pointee.position].time)
    } else {
      tournament.removeTop()
    }
  }

  /// Decodes on in a stream; false at its end.
  private mutating func refill(_ index: Int) -> Bool {
    let stream = streams + index
    let hasRecord = stream.pointee.refill(plan: plan, counts: counts)
    pass?.reach(stream.pointee.pageOffset, stream: index, events: stream.pointee.count)
    if beganWhole, !file.isWhole, fileDamageCount == 0 {
      fileDamageCount = 1
      for other in 0..<streamCount { noteDamage(of: other) }
    }
    origins[index].page = stream.pointee.page
    origins[index].pageOffset = stream.pointee.pageOffset
    noteDamage(of: index)
    return hasRecord
  }

  /// So much of a stream, and of the file, was damaged by now.
  private mutating func noteDamage(of index: Int) {
    origins[index].damageCount = streams[index].doubtCount + fileDamageCount
    origins[index].lackCount = streams[index].lackCount + fileDamageCount
    if origins[index].damageCount > 0 { isDamaged = true }
  }

  /// What the reader has seen so far; complete once `nextRun` returned nil.
  public var statistics: EventStatistics {
    var result = EventStatistics()
    result.operationProbes = 0
    result.lostTotal = lostSomewhere
    for index in 0...formats.formats.count where counts[index] > 0 {
      if index == formats.formats.count {
        result.withoutFormat = counts[index]
      } else {
        let format = formats.formats[index]
        result.counts.append(.init(system: format.system, name: format.name, count: counts[index]))
        if format.kind.isOperationProbe { result.operationProbes! += counts[index] }
      }
    }
    for index in 0..<streamCount {
      result.losses += streams[index].losses
      result.lossCount += streams[index].lossCount
      result.gapCount += streams[index].gapCount
      result.lostTotal = result.lostTotal.addingSaturated(streams[index].lostEvents)
      result.damage += streams[index].damage
      if streams[index].tellsDamage { result.toldDamage += streams[index].damage }
      result.streamEnds += streams[index].ends(ofBuffer: origins[index].bufferIndex, isWhole: file.isWhole)
      if let first = streams[index].first { result.first = min(result.first ?? first, first) }
      if let last = streams[index].last { result.last = max(result.last ?? last, last) }
    }
    if let shrinkage = file.shrinkage { result.damage.insert(shrinkage, at: 0) }
    if let failure = file.failure {
      result.damage.insert(Damage(offset: failure.offset ?? 0, what: failure.what), at: 0)
      result.readFailure = failure
    }
    noteUnnumbered(&result)
    result.losses.sort { ($0.before, $0.cpu) < ($1.before, $1.cpu) }
    return result
  }

  /// Events whose number no format has may be of a kind of which none came: the number of its format is damaged, or the format is missing.
  private func noteUnnumbered(_ result: inout EventStatistics) {
    guard result.withoutFormat > 0, !formatOffsets.isEmpty else { return }
    let absent = formats.formats.indices.filter {
      counts[$0] == 0 && ![.other, .marker].contains(formats.formats[$0].kind)
    }
    guard let first = absent.first else { return }
    let names = absent.map { formats.formats[$0].name }
    let shown = names.prefix(3).joined(separator: ", ") + (names.count > 3 ? " ..." : "")
    result.mayHideKinds = true
    result.damage.append(
      Damage(
        offset: formatOffsets[first],
        what: """
          \(result.withoutFormat == 1 ? "1 event has a number" : "\(result.withoutFormat) events have numbers") that no format has, and of some \
          formats none came (\(shown)), whose numbers may be damaged: nothing is certain
          """))
  }
}
