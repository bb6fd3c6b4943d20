public import KVMTypes

/// A recorded trace: what its metadata says, and its events.
///
/// Opening reads the metadata only. Every call of `events` is a pass of its own over the file.
public final class TraceFile {
  /// The path that was opened, "-" for standard input.
  public let path: String
  /// The event formats.
  public let formats: EventFormats
  private let file: FileBytes
  private let contents: TraceDatContents
  /// The reader of a recording that is no trace.dat.
  private let transcoded: (any TranscodedTrace)?
  /// How the file is compressed as a whole, nil where it is not.
  private let wrapping: String?
  private let formatDamage: (places: [Damage], formats: Set<Int>, isNeeded: Bool)
  /// What passes share, while several are made, and how many calls say so.
  private var kept: KeptChunks?
  private var keepingCalls = 0
  /// Whom passes tell how far they are.
  public var progress: ReadingProgress?
  /// What the trace says of the part of a recording that it is, nil where it says nothing: a slice does so in its first event.
  public private(set) lazy var slice = SliceMarker(of: self)

  /// Opens the recording at `path`, or on standard input for "-". Of what kind it is its content tells.
  ///
  /// - Parameter spoolLimit: the most bytes of a pipe that are copied to a temporary file, which is where a pipe is read, and of
  ///   what a compressed file holds; nil for half of what is free there.
  public convenience init(path: String, spoolLimit: UInt64? = nil) throws(IngestError) {
    let file = try FileBytes(path: path, spoolLimit: spoolLimit)
    try self.init(
      path: path, RecordingOpener.unwrapped(file, spoolLimit: spoolLimit), spoolLimit: spoolLimit)
  }

  convenience init(path: String, _ file: FileBytes) throws(IngestError) {
    try self.init(path: path, RecordingOpener.Unwrapped(file: file), spoolLimit: nil)
  }

  private init(
    path: String, _ unwrapped: RecordingOpener.Unwrapped, spoolLimit: UInt64?
  ) throws(IngestError) {
    self.path = path
    let file = unwrapped.file
    self.file = file
    transcoded = try RecordingOpener.transcoded(file, spoolLimit: spoolLimit)
    var contents: TraceDatContents
    if let transcoded {
      contents = transcoded.contents(in: file)
    } else {
      contents = try TraceDatOpener.open(file)
    }
    if let damage = unwrapped.damage { contents.damage.insert(damage, at: 0) }
    self.contents = contents
    wrapping = unwrapped.compression
    let parsed = EventFormats(
      contents.formats.map { ($0.system, $0.text) }, bigEndian: contents.bigEndian,
      kernelLongSize: contents.kernelLongSize)
    formats = parsed
    formatDamage = contents.damage(of: parsed)
    formats.register(symbols: KernelSymbols { [file, contents] in contents.symbolText(in: file) })
    for (tid, command) in contents.commands { formats.register(command: command, tid: tid) }
    for (address, text) in contents.printFormats { formats.register(printFormat: text, address: address) }
  }

  /// The events that `selection` wants, in time order.
  public func events(_ selection: EventSelection) -> EventReader {
    kept?.isLastPass = selection.isLast && keepingCalls == 1
    return EventReader(
      transcoded?.streams() ?? streams(kept ?? unshared), file: file, contents: contents, formats: formats,
      selection: selection, lostSomewhere: transcoded?.lostSomewhere ?? 0,
      hasKernelNumbers: transcoded?.hasKernelNumbers ?? true, pass: readingPass)
  }

  /// A pass that tells how far it is, if anybody wants to know.
  private var readingPass: ReadingPass? {
    guard let progress else { return nil }
    let areas = contents.buffers.flatMap(\.areas).map { $0.offset..<max($0.offset, $0.offset + $0.count) }
    return ReadingPass(progress, of: path, areas: transcoded == nil ? areas : nil, bytes: file.count)
  }

  /// The streams of a pass over a trace.dat: each CPU's events of each buffer.
  private func streams(_ kept: KeptChunks) -> [EventReader.Stream] {
    kept.beginPass(pageBytes: contents.pageBytesMax)
    return contents.buffers.enumerated().flatMap { index, buffer in
      let clock = TraceClock(buffer.clock, isConverted: contents.time.multiplier != 0)
      return buffer.areas.map { area in
        EventReader.Stream(
          source: PageSource(
            file: file, area: area, buffer: buffer, kept: kept, bigEndian: contents.bigEndian),
          bufferIndex: index, clock: clock,
          mayRepeat: contents.copyOrigin == nil && clock?.isNanoseconds ?? true)
      }
    }
  }

  /// Calls `body`, which makes several passes: what they decompress is kept until it returns, if it is little.
  public func withSeveralPasses<Result>(_ body: () throws -> Result) rethrows -> Result {
    if kept == nil {
      let bytes = contents.buffers.reduce(0) { $0 + $1.areas.reduce(0) { $0 + $1.count } }
      kept = KeptChunks(compressionKind, storedBytes: bytes)
    }
    keepingCalls += 1
    defer {
      keepingCalls -= 1
      if keepingCalls == 0 { kept = nil }
    }
    return try body()
  }

  /// What a single pass decompresses with.
  private var unshared: KeptChunks { KeptChunks(compressionKind, storedBytes: .max) }

  private var compressionKind: Compression { Compression(name: contents.compression) ?? .none }

  /// The largest chunk of a compressed trace.dat that is believed, in bytes, where so many CPUs have events.
  package static func chunkBytesMax(pageBytes: Int, areas: Int) -> Int {
    Decompressor.chunkBytesMax(pageBytes: pageBytes, areas: areas)
  }

  /// Reads every page and decompresses it, decodes nothing, and says how many bytes there were: what a pass over the events cannot
  /// take less time than.
  package func readPages() -> Int {
    var bytes = 0
    let unshared = unshared
    unshared.beginPass(pageBytes: contents.pageBytesMax)
    for buffer in contents.buffers {
      for area in buffer.areas {
        let source = PageSource(
          file: file, area: area, buffer: buffer, kept: unshared, bigEndian: contents.bigEndian)
        while let page = source.next() { bytes += page.count }
      }
    }
    return bytes
  }

  /// "trace.dat v6", "trace.dat v7", "perf.data", "Perfetto trace", or what kind of text it is.
  public var format: String { transcoded?.format ?? "trace.dat v\(contents.version)" }
  /// "none", "zlib", "zstd", "gzip" or "deflate".
  public var compression: String { wrapping ?? contents.compression }
  /// Whether the traced machine is big-endian.
  public var isBigEndian: Bool { contents.bigEndian }
  /// The size of a long in the traced kernel, in bytes.
  public var kernelLongSize: Int { contents.kernelLongSize }
  /// What `uname` said on the traced host, "" where it was not recorded.
  public var uname: String { contents.uname }
  /// The trace clock, nil where it was not recorded.
  public var clock: TraceClock? {
    TraceClock(contents.clock, isConverted: contents.time.multiplier != 0)
  }
  /// The number that joins the traces of a host and its guests.
  public var traceID: UInt64? { contents.traceID }
  /// What the head of a trace.dat calls the page size, in bytes: the size of the ring buffer's sub-buffers, or of old recorders
  /// the host's page size. The host's pages are no bigger.
  public var pageBytes: Int { contents.pageBytes }
  /// The size of a sub-buffer of the ring buffer in bytes, the host's page size by default (`buffer_subbuf_size_kb`); nil of a
  /// recording that tells nothing of it.
  public var subBufferBytes: Int? {
    copyOrigin?.hasSubBuffers ?? true ? contents.subBufferBytes ?? contents.pageBytes : nil
  }
  /// The size of the host's pages, nil where the recording does not say.
  public var pageSize: PageSize? { copyOrigin?.pageSize }
  /// What a copy has to say of the recording, or as a copy says of its own; nil of a recording with sub-buffers. A recording does not
  /// know of its own damage beforehand.
  package var copyOrigin: CopyOrigin? {
    guard let transcoded else { return contents.copyOrigin }
    return CopyOrigin(
      pageSize: transcoded.hostPageBytes.flatMap { PageSize(bytes: UInt64(clamping: $0)) },
      listsKinds: transcoded.listsKinds, untoldLosses: transcoded.untoldLosses)
  }
  /// What a copy says of the recording, with how that was damaged; nil where there is nothing to say.
  package func origin(damaged: CopyOrigin.Damaged?) -> CopyOrigin? {
    var origin = copyOrigin
    if damaged != nil, origin == nil {
      origin = CopyOrigin(pageSize: pageSize, hasSubBuffers: true, listsKinds: true, untoldLosses: nil)
    }
    origin?.damaged = damaged
    return origin
  }
  /// How fine the stamps of a text are written, in nanoseconds; nil of any other recording, and where stamps are ticks.
  public var stampNs: UInt64? { transcoded?.stampNs }
  /// How many events the kernel's counters of its ring buffers (CPUSTAT) say were lost by the end of the recording, of whatever time; nil
  /// where the file has none. Pages tell of the same events where they are missing, as far as they have room for the number.
  public var lostByCounters: UInt64? { transcoded == nil ? contents.lostByCounters : nil }

  /// Those counters of each CPU, as the file has them.
  package var counterTexts: [String] { transcoded == nil ? contents.cpuStatistics : [] }

  /// Whether all that is known of an event is that it was there: a number that its form took the place of its fields.
  package func isUnreadable(_ record: TraceRecord) -> Bool {
    transcoded != nil && record.kind == .other && UInt64(record.formatID) == EventTranscoder.spoilt
  }
  /// Whether events with one stamp are in the order in which they happened, also those of different CPUs: in a text the lines say so.
  package var ordersEqualStamps: Bool { transcoded?.ordersEqualStamps ?? false }
  /// How many processors the host had.
  public var cpuCount: Int {
    max(
      contents.cpuCount,
      Int(contents.buffers.flatMap(\.areas).map(\.cpu).max() ?? 0) + (contents.buffers.isEmpty ? 0 : 1))
  }
  /// The CPUs of each buffer that have events, in the order of their numbers; of a recording of another tool, all that there are.
  package var cpusOfBuffers: [[UInt32]] {
    if transcoded != nil { return [Array(0..<UInt32(cpuCount))] }
    return contents.buffers.map { Set($0.areas.map { UInt32($0.cpu) }).sorted() }
  }
  /// The names of the buffers, "" for the top one.
  public var bufferNames: [String] { transcoded == nil ? contents.buffers.map(\.name) : [""] }
  /// Where the file's metadata is damaged or cut.
  public var damage: [Damage] { contents.damage + formatDamage.places }

  /// What of the file is passed over, without anything being missing for it: samples of events that are no tracepoints; behind a pass
  /// also those that repeat an event.
  public var notes: [String] { transcoded?.notes ?? [] }

  /// The events, as "system:name", whose formats tell no fields: they are counted, and nothing more is known of them.
  public var unreadableEvents: [String] { unreadableFormats.map(\.name) }

  /// Those of them whose formats are no damage, so that nothing else tells of them.
  public var untoldUnreadableEvents: [String] {
    unreadableFormats.filter { !formatDamage.formats.contains($0.position) }.map(\.name)
  }

  private var unreadableFormats: [(name: String, position: Int)] {
    zip(formats.formats, formats.positions).filter { $0.0.fields.isEmpty && formats.isWithoutFields($0.0) }
      .map { ("\($0.system):\($0.name)", $1) }
  }

  /// The content of each format file, with its system and the event's number; nil where that cannot be read.
  package var formatTexts: [(system: String, id: UInt16?, text: String)] {
    contents.formats.map { format in
      (
        format.system, FormatSource(system: format.system, text: format.text)?.id,
        String(decoding: format.text, as: UTF8.self)
      )
    }
  }
  /// The commands of threads, in the order of their numbers.
  package var commandLines: [(tid: Int32, name: String)] {
    contents.commands.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
  /// The format strings of `trace_printk`, as `printk_formats` shows them.
  package var printkText: String {
    contents.printFormats.map { "0x\(String($0.address, radix: 16)) : \"\($0.text)\"\n" }.joined()
  }
  /// The kernel's symbols, as `/proc/kallsyms` shows them; "" where the recording has none.
  package var symbolText: String {
    contents.symbolText(in: file).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// Whether the trace can hold probes on the kernel's stage-2 operations.
  public var hasOperationProbes: Bool {
    formats.formats.contains(where: \.kind.isOperationProbe)
  }

  /// What the trace tells of the events that are not in it. trace-cmd stores the formats of the events that it recorded, so a kind
  /// whose format is not there, or cannot be read, was not recorded. A text has but the events that are in it.
  public var account: SourceAccount {
    let kinds = Set(formats.formats.map(\.kind)).subtracting([.other])
    let named = formats.formats.compactMap { EventSchema.kind(named: $0.name, system: $0.system) }
    return SourceAccount(
      kinds: kinds, listsKinds: copyOrigin?.listsKinds ?? true,
      kindsWithoutFields: Set(named).subtracting(kinds),
      lacksErrno: formats.formats.contains {
        $0.kind == .userspaceExit && !$0.fields.contains { $0.name == "errno" }
      },
      untoldLosses: copyOrigin?.untoldLosses.map { UntoldLosses($0, isOfCopy: transcoded == nil) },
      uncertainFrom: contents.isDisplaced || contents.lacksStream || formatDamage.isNeeded
        ? Nanoseconds(0) : copyOrigin?.damaged?.uncertainFrom)
  }

  /// What the file says of damage in the recording that it is a copy of, told at the place where it says so; nil where it says nothing.
  public var damageOfOriginal: Damage? {
    guard let damaged = copyOrigin?.damaged else { return nil }
    let places = damaged.places == 1 ? "1 place" : "\(damaged.places) places"
    let reason =
      damaged.places == 0 ? "lost events of one of several streams of a CPU" : "is damaged in \(places)"
    let from = damaged.uncertainFrom.map { "; nothing is certain from the stamp \($0.rawValue) on" } ?? ""
    return Damage(
      offset: contents.copyOriginOffset, what: "the recording that this is a copy of \(reason)\(from)")
  }
  /// How many of the losses stand for damage in the recording that the file is a copy of.
  public var gapsOfOriginal: Int { copyOrigin?.damaged?.gaps ?? 0 }

  /// Whether the trace has KVM's events in the form of another architecture: they say when a guest ran, in other fields.
  public var hasForeignKVMEvents: Bool {
    formats.formats.contains { format in
      format.system == "kvm" && ["kvm_entry", "kvm_exit"].contains(format.name) && format.kind == .other
    }
  }

  /// The command that the thread ran, nil where it was not recorded.
  public func command(of tid: ThreadID) -> String? { contents.commands[tid.rawValue] }
}
