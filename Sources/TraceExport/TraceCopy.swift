public import KVMTrace
public import KVMTypes
public import TraceSynth

/// Writes events of a recording, of whatever format, as a trace.dat of version 7 that trace-cmd and KernelShark read.
///
/// Events come in the order of time and go to the pages of their CPUs. Stamps are nanoseconds where those of the recording can be turned
/// into them. What is missing in the recording is missing in the copy, and its pages say so as the kernel's do.
public final class TraceCopy {
  private typealias Place = OpenPages.Place

  private let trace: TraceFile
  private let writer: TraceDatWriter
  @exclusivity(unchecked) private var pages: OpenPages
  private let anonymizer: Anonymizer?
  private var formats: CopiedFormats
  /// By how much the positions of the recording's buffers differ from those of the copy, which has a top one in any case, and where that
  /// one is.
  private let bufferShift: Int
  private let topBuffer: Int
  /// What is damaged in the recording.
  @exclusivity(unchecked) private var damage = CopiedDamage()
  private let ordersEqualStamps: Bool
  /// The stamp and CPU of the last event.
  @exclusivity(unchecked) private var last = (time: Nanoseconds(0), cpu: CPUIndex(0))
  /// What stands in the trace before its first event, as a recorder writes it there through trace_marker.
  @exclusivity(unchecked) public var headings: [String] = []
  /// What stands in the trace right behind an event, printed by its thread; nil for nothing behind any.
  @exclusivity(unchecked) public var linesBehind: ((TraceRecord) -> [String])?
  /// Whether the end of the recording was told.
  private var isEnded = false
  /// Events that are longer than any page, or of a CPU that the recording does not have, and are left out.
  public private(set) var leftOut = 0

  /// - Parameters:
  ///   - trace: the recording.
  ///   - kinds: the numbers of the events that may come, nil for all: of others the copy has no format, and so says that they were not
  ///     recorded.
  ///   - compression: how the copy is compressed.
  ///   - anonymizer: what takes the names out of events, nil to leave them.
  ///   - spillDirectory: where pages wait that are more than a megabyte of a CPU.
  public init(
    _ trace: TraceFile, kinds: Set<UInt16>? = nil, compression: TraceFlavour.Compression,
    anonymizer: Anonymizer? = nil, spillDirectory: String
  ) {
    self.trace = trace
    let pageBytes = Self.pageBytes(of: trace)
    ordersEqualStamps = trace.ordersEqualStamps && trace.clock?.isNanoseconds ?? true
    self.anonymizer = anonymizer
    formats = CopiedFormats(trace, kinds: kinds)
    anonymizer?.prepare(formats: trace.formats)
    let buffers = Self.buffers(of: trace)
    let topBuffer = buffers.firstIndex { $0.name.isEmpty }!
    self.topBuffer = topBuffer
    let flavour = TraceFlavour(version: .v7, pageBytes: pageBytes, compression: compression)
    let clock = Self.clock(of: trace)
    var description = TraceDescription(
      flavour, formats: formats.ofEvents,
      buffers: buffers.enumerated().map { index, buffer in
        let own = anonymizer == nil || index == topBuffer ? buffer.name : "buffer\(index)"
        return TraceBuffer(name: own, clock: clock, cpus: buffer.cpus)
      })
    bufferShift = description.buffers.count - trace.bufferNames.count
    pages = OpenPages(description.buffers, pageBytes: pageBytes)
    description.ftraceFormats = formats.ofFtrace
    // More than the ten of trace-cmd, as many as readers believe: what is alike lies together.
    let chunkBytes = TraceFile.chunkBytesMax(pageBytes: pageBytes, areas: trace.cpuCount)
    description.pagesPerChunk = min(32, chunkBytes / pageBytes)
    description.commandLines = trace.commandLines.map { tid, name in
      (anonymizer?.thread(tid) ?? tid, anonymizer?.command(name) ?? name)
    }
    if !clock.isEmpty { description.options.append(.clock("[\(clock)]")) }
    let uname = anonymizer?.uname(trace.uname) ?? trace.uname
    if !uname.isEmpty { description.options.append(.uname(uname)) }
    description.options.append(.cpuCount(UInt32(clamping: max(trace.cpuCount, 1))))
    // It joins the recordings of a host and its guests.
    if let id = trace.traceID, anonymizer == nil { description.options.append(.traceID(id)) }
    if anonymizer == nil {
      description.printkFormats = trace.printkText
      description.kallsyms = trace.symbolText
    }
    writer = TraceDatWriter(description, spillDirectory: spillDirectory)
  }

  /// Buffers stand in the order of the recording, by which events with one stamp go. The top one is always there, and has all CPUs: it also
  /// tells of what cannot be read. Others have those of their events: a forged file can claim thousands of either.
  private static func buffers(of trace: TraceFile) -> [(name: String, cpus: [UInt32])] {
    var buffers = Array(zip(trace.bufferNames, trace.cpusOfBuffers))
    if !buffers.contains(where: { $0.0.isEmpty }) { buffers.insert(("", []), at: 0) }
    // Where no CPU can be read, there was one.
    buffers[buffers.firstIndex { $0.0.isEmpty }!].1 = Array(0..<UInt32(clamping: max(trace.cpuCount, 1)))
    return buffers.map { (name: $0.0, cpus: $0.1) }
  }

  /// The size of the recording's own sub-buffers, which tells something of the host's pages; where nothing is known of those, as large
  /// as any.
  private static func pageBytes(of trace: TraceFile) -> Int {
    trace.subBufferBytes ?? trace.pageSize.map { Int($0.bytes) } ?? 1 << 16
  }

  private func place(ofBuffer buffer: Int, cpu: UInt16) -> Place {
    Place(buffer: buffer + bufferShift, cpu: cpu)
  }

  /// A clock whose ticks have become nanoseconds is none that a reader would take for ticks.
  private static func clock(of trace: TraceFile) -> String {
    guard let clock = trace.clock else { return "" }
    return clock.isNanoseconds && TraceClock(clock.name)?.isNanoseconds == false ? "" : clock.name
  }

  /// The loss that stands before a run where its stream was damaged since the run before; nil where nothing is missing. Asked once of
  /// each run of the recording, also of those that are not copied.
  public func loss(before run: EventRun) -> TraceRecord? { damage.loss(before: run) }

  /// Takes over a loss.
  public func append(_ loss: TraceRecord, ofBuffer buffer: Int) throws {
    try noteLoss(
      of: loss.lostCount ?? 0, place(ofBuffer: buffer, cpu: loss.cpu.rawValue),
      isDamage: loss[RecordLayout.Lost.isDamage] != 0)
  }

  /// Takes over an event, or a loss.
  public func append(_ record: TraceRecord, _ payload: UnsafeRawBufferPointer, ofBuffer buffer: Int) throws {
    let place = place(ofBuffer: buffer, cpu: record.cpu.rawValue)
    let time = stamp(record)
    if record.kind == .lost { return try append(record, ofBuffer: buffer) }
    guard payload.count > 0 else { return }
    // trace-cmd reads nothing more of a page from there on where a loss comes next.
    if trace.isUnreadable(record) { return try noteLoss(of: 1, place) }
    if !headings.isEmpty, pages.page(place) != nil { try writeHeadings(at: time, cpu: place.cpu) }
    if anonymizer != nil, let text = trace.formats.printedText(payload, id: record.formatID) {
      try write(printing: text, record, at: time, place)
    } else {
      try write(payload, at: time, place) { [anonymizer] in anonymizer?.rewrite($0) }
    }
    for line in linesBehind?(record) ?? [] { try write(printing: line, record, at: time, place) }
  }

  private func writeHeadings(at time: Nanoseconds, cpu: UInt16) throws {
    let texts = headings
    headings = []
    for text in texts {
      try write(
        formats.marker(anonymizer?.printed(text) ?? text, tid: 0), at: time,
        Place(buffer: topBuffer, cpu: cpu))
    }
  }

  /// Writes what the thread of an event prints.
  private func write(
    printing text: String, _ record: TraceRecord, at time: Nanoseconds, _ place: Place
  ) throws {
    let tid = record.tid.rawValue
    let data = formats.marker(anonymizer?.printed(text) ?? text, tid: anonymizer?.thread(tid) ?? tid)
    try write(data, at: time, place)
  }

  /// Writes what is made for the copy.
  private func write(_ data: [UInt8], at time: Nanoseconds, _ place: Place) throws {
    try data.withUnsafeBytes { try write($0, at: time, place) { _ in } }
  }

  /// When an event is written to have happened. A trace.dat has no order of events with one stamp on different CPUs. Those of a text,
  /// whose stamps are whole microseconds, have the order of its lines: each gets a nanosecond more.
  private func stamp(_ record: TraceRecord) -> Nanoseconds {
    guard ordersEqualStamps else { return record.time }
    var time = record.time
    if time <= last.time, (last.time - time).rawValue < 1000 {
      time = record.cpu == last.cpu ? last.time : last.time + Nanoseconds(1)
    }
    last = (time, record.cpu)
    return time
  }

  /// Events are missing before the next one, 0 for an unknown number. The mark stands at the head of a page.
  private func noteLoss(of count: UInt64, _ place: Place, isDamage: Bool = false) throws {
    guard let page = pages.page(place) else { return }
    if page.pointee.writer.eventCount > 0 { try close(page) }
    if isDamage { page.pointee.isBehindDamage = true }
    let known = page.pointee.writer.lost
    page.pointee.writer.lost = known == 0 || count == 0 ? 0 : (known ?? 0) &+ count
  }

  /// Writes an event, which `change` may rewrite where it then lies.
  @inline(__always)
  private func write(
    _ payload: UnsafeRawBufferPointer, at time: Nanoseconds, _ place: Place,
    _ change: (UnsafeMutableRawBufferPointer) -> Void
  ) throws {
    guard let page = pages.page(place) else {
      leftOut += 1
      return
    }
    var room = page.pointee.writer.reserve(payload.count, at: time)
    if room == nil, page.pointee.writer.eventCount > 0 {
      try close(page)
      room = page.pointee.writer.reserve(payload.count, at: time)
    }
    guard let room else {
      leftOut += 1
      return try noteLoss(of: 1, place)
    }
    room.copyMemory(from: payload.baseAddress!, byteCount: payload.count)
    change(UnsafeMutableRawBufferPointer(start: room, count: payload.count))
  }

  private func close(_ page: OpenPages.Lent) throws {
    guard page.pointee.writer.eventCount > 0 || page.pointee.writer.lost != nil else { return }
    let place = page.pointee.place
    if page.pointee.writer.lost != nil { damage.noteLoss(isDamage: page.pointee.isBehindDamage) }
    try writer.append(
      Array(page.pointee.writer.finish()), cpu: UInt32(place.cpu), buffer: place.buffer)
    page.pointee.writer.begin()
    page.pointee.isBehindDamage = false
  }

  /// Takes over what the kernel's own counters say of losses: they speak of the whole recording, so a part has none.
  public func takeCounters() {
    for text in trace.counterTexts { writer.append(.cpuStat(text)) }
  }

  /// The recording was read to its end. What is missing behind the last event of a stream is missing in the copy, too, which ends with a
  /// loss. So it does on every CPU where the recording's metadata is damaged or cut, or a place of which nobody tells the CPU and the
  /// moment: nobody knows what that costs.
  ///
  /// - Parameter moment: the end of the part that is copied. What is missing behind an event of later is missing there.
  public func end(_ statistics: EventStatistics, before moment: Nanoseconds? = nil) throws {
    isEnded = true
    try endCPUs(statistics, before: moment)
    for page in pages.all { try close(page) }
    guard let origin = damage.origin(of: trace, statistics, before: moment) else { return }
    writer.append(.version(origin.text))
  }

  private func endCPUs(_ statistics: EventStatistics, before moment: Nanoseconds?) throws {
    let ends = statistics.streamEnds.filter { end in
      end.last.map { last in moment.map { last < $0 } ?? true } ?? true
    }
    for end in ends {
      guard let missing = end.missing else { continue }
      try noteLoss(of: missing, place(ofBuffer: end.bufferIndex, cpu: end.cpu), isDamage: !end.isKernels)
    }
    guard !trace.damage.isEmpty || statistics.untoldDamage.contains(where: { $0.cpu == nil }) else { return }
    for end in ends where end.last != nil && end.missing == nil {
      try noteLoss(of: 0, place(ofBuffer: end.bufferIndex, cpu: end.cpu), isDamage: true)
    }
    // One CPU without any event that could be read says as much as thousands: what it did is known at no time.
    let told = Set(statistics.streamEnds.filter { $0.last != nil }.map(\.cpu))
    if let silent = (0..<UInt16(clamping: max(trace.cpuCount, 1))).first(where: { !told.contains($0) }) {
      try noteLoss(of: 0, Place(buffer: topBuffer, cpu: silent), isDamage: true)
    }
  }

  /// Writes the file, whose end has been told. Nothing can be appended afterwards.
  public func finish(to output: OutputFile) throws {
    precondition(isEnded, "the last page of each CPU is written by end()")
    try writer.finish(to: output)
  }
}
