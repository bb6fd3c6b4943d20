public import KVMTrace
public import KVMTypes
public import Stage2Replay

/// What `info` says about a trace: the file, the host, the events and what is missing. Of a source that is no `TraceFile`, what only
/// a file has is nil.
public struct TraceInfo: Encodable, Sendable {
  /// A place where the file is not what its format demands.
  public struct DamageEntry: Encodable, Sendable {
    /// Where in the file, in bytes.
    public var offset: Int
    /// The processor concerned, nil for the whole file.
    public var cpu: UInt16?
    /// What is wrong there.
    public var what: String
  }

  /// A place where events are missing.
  public struct LossEntry: Encodable, Sendable {
    /// The processor whose events are missing.
    public var cpu: UInt16
    /// The stamp of the first event after the gap.
    public var beforeNs: UInt64
    /// True where no event of the CPU follows: `beforeNs` is the stamp of its last one then, 0 where it has none; else nil.
    public var behindLast: Bool?
    /// How many events are missing, nil where that is not known.
    public var count: UInt64?

    /// Where they are missing, in words.
    ///
    /// - Parameter moment: the stamp, in words.
    package func place(_ moment: String) -> String {
      let place = Loss.Place(Nanoseconds(beforeNs), isBehindLast: behindLast == true)
      return place == .anywhere ? place.rawValue : "\(place.rawValue) \(moment)"
    }
  }

  /// A thread that ran a vCPU.
  public struct VCPUEntry: Encodable, Sendable {
    /// The thread.
    public var tid: Int32
    /// Its command, nil where it was not recorded.
    public var command: String?
    /// How often it entered the guest.
    public var entries: UInt64
    /// How many stage-2 faults it took.
    public var faults: UInt64
  }

  /// What a trace shows of guests.
  public struct GuestsEntry: Encodable, Sendable {
    /// VMs that created memslots, nil where no probe recorded memslots.
    public var vms: Int?
    /// The threads that ran vCPUs, in the order of appearance.
    public var vcpus: [VCPUEntry]
    /// Recorded changes of memslots.
    public var memslotChanges: Int
    /// How often guests of guests were entered, as far as events tell; nil where none was.
    public var nestedEntries: UInt64?
  }

  /// The version of this layout.
  public var schemaVersion = 1
  /// The file.
  public var path: String
  /// "trace.dat v6" or "trace.dat v7".
  public var format: String
  /// "none", "zlib" or "zstd".
  public var compression: String?
  /// "little" or "big".
  public var byteOrder: String?
  /// The kernel's release, nil where `uname` was not recorded.
  public var kernel: String?
  /// The machine as `uname` names it, nil where it was not recorded.
  public var machine: String?
  /// The host's page size in bytes, nil where nobody looked.
  public var pageSize: Int?
  /// How it is known.
  public var pageSizeBasis: Basis?
  /// The size of a sub-buffer of the ring buffer in bytes, which is the page size by default.
  public var subBufferSize: Int?
  /// The trace clock, nil where it was not recorded.
  public var clock: String?
  /// "ticks" for a clock that does not count nanoseconds: all times of the trace are in them then, whatever their names say; nil for
  /// nanoseconds.
  public var clockUnit: String?
  /// How fine the stamps of a text are written, in nanoseconds; nil of any other source, and for ticks.
  public var stampNs: UInt64?
  /// The host's processors.
  public var cpus: Int
  /// The names of the buffers, "" for the top one.
  public var buffers: [String]?
  /// The part that was replayed, or that was cut out of a recording; nil where that is the whole trace.
  public var window: TraceWindow?
  /// By what events were left out of the part of a recording that it is, "cpu", "thread", "filter" or "vm"; nil where nothing was.
  public var leftOutBy: [String]?
  /// All events.
  public var events: UInt64
  /// Events known to be lost.
  public var lostEvents: UInt64
  /// Events lost by the kernel's counters of its ring buffers (CPUSTAT of a trace.dat), where those tell of more; else nil.
  public var lostByCounters: UInt64?
  /// Places where events were lost, those of unknown number included.
  public var lossCount: Int
  /// Whether the recording would not tell of losses, so that none may mean nothing; nil where it would, or tells of some, unless these are
  /// not all.
  public var lossesUnknown: Bool?
  /// Why it would not, in words.
  public var lossesUnknownWhy: String?
  /// The first of those places.
  public var losses: [LossEntry]
  /// At how many of them pages of the file are missing; at the others the kernel lost events. Nil for none.
  public var gapCount: Int?
  /// Damaged places.
  public var damage: [DamageEntry]
  /// The least stamp of all events, nil where there is none.
  public var firstNs: UInt64?
  /// The greatest one.
  public var lastNs: UInt64?
  /// How often each event occurred, by name; by "system:name" where two systems share a name.
  public var eventCounts: [String: UInt64]
  /// Events whose number no format has.
  public var eventsWithoutFormat: UInt64
  /// Events, as "system:name", whose fields are not known because their formats cannot be read; nil where there are none.
  public var unreadableFormats: [String]?

  /// The guests, nil where nobody looked.
  public var guests: GuestsEntry?
  /// How the recording was made, nil where no marker says.
  public var recording: [String: String]?
  /// The quiet points at which the host's memory was counted, nil where there are none.
  public var memoryPoints: [String]?

  /// What a finished pass over `source` found.
  public init(
    _ source: some EventSource, _ statistics: EventStatistics, _ host: HostPageSize? = nil,
    _ census: GuestCensus? = nil, markers: MarkerCensus? = nil
  ) {
    guests = census.map { census in
      GuestsEntry(
        vms: census.slotChanges > 0 ? census.vmCount : nil,
        vcpus: census.vcpus.map {
          VCPUEntry(
            tid: $0.tid.rawValue, command: source.command(of: $0.tid), entries: $0.entries, faults: $0.faults)
        },
        memslotChanges: census.slotChanges,
        nestedEntries: census.nestedEntries > 0 ? census.nestedEntries : nil)
    }
    path = source.path
    format = source.format
    let words = source.uname.split(separator: " ")
    kernel = words.count >= 3 ? String(words[2]) : nil
    machine = words.count >= 3 ? String(words[words.count - 1]) : nil
    pageSize = host.map { Int($0.pageSize.bytes) }
    pageSizeBasis = host?.basis
    clock = source.clock?.name
    if source.clock?.isNanoseconds == false { clockUnit = "ticks" }
    cpus = source.cpuCount
    events = statistics.total
    lostEvents = statistics.lostTotal
    lossCount = statistics.lossCount
    if let untold = source.account.untoldLosses, lossCount == 0 || untold.reason == .missingEntries {
      (lossesUnknown, lossesUnknownWhy) = (true, untold.words)
    }
    if statistics.gapCount > 0 { gapCount = statistics.gapCount }
    losses = statistics.losses.map {
      LossEntry(
        cpu: $0.cpu, beforeNs: $0.before.rawValue, behindLast: $0.isBehindLast ? true : nil, count: $0.count)
    }
    damage = (source.damage + statistics.damage).map {
      DamageEntry(offset: $0.offset, cpu: $0.cpu, what: $0.what)
    }
    firstNs = statistics.first?.rawValue
    lastNs = statistics.last?.rawValue
    eventsWithoutFormat = statistics.withoutFormat
    let names = Dictionary(grouping: statistics.counts, by: \.name)
    eventCounts = [:]
    for (name, counts) in names {
      for count in counts {
        eventCounts[counts.count == 1 ? name : "\(count.system):\(name)"] = count.count
      }
    }
    if let markers {
      setRecording(markers.settings)
      let chosen = markers.slice?.chosen ?? []
      let words =
        SliceMarker.Choice.allCases.filter(chosen.contains).map(\.rawValue)
        + (markers.slice?.otherVMs == nil ? [] : ["vm"])
      if !words.isEmpty { leftOutBy = words }
      if !markers.points.isEmpty { memoryPoints = markers.points }
    }
    if let file = source as? TraceFile { setFile(file) }
  }

  /// Adds what only a file has.
  private mutating func setFile(_ file: TraceFile) {
    compression = file.compression
    byteOrder = file.isBigEndian ? "big" : "little"
    subBufferSize = file.subBufferBytes
    stampNs = file.stampNs
    buffers = file.bufferNames
    if let copied = file.damageOfOriginal {
      damage.append(DamageEntry(offset: copied.offset, cpu: nil, what: copied.what))
    }
    let gaps = min((gapCount ?? 0) + file.gapsOfOriginal, lossCount)
    gapCount = gaps > 0 ? gaps : nil
    lostByCounters = file.lostByCounters.flatMap { $0 > lostEvents ? $0 : nil }
    unreadableFormats = file.unreadableEvents.isEmpty ? nil : file.unreadableEvents
  }

  /// Adds how the recording was made. Of two settings of one name the first counts.
  mutating func setRecording(_ settings: [TraceMarker.Setting]) {
    guard !settings.isEmpty else { return }
    recording = Dictionary(settings.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
  }

  /// What its stamps are.
  package var unit: StampUnit { clockUnit == nil ? .nanoseconds : .ticks }

  /// Whether the trace is incomplete: damaged, cut, or with events lost.
  public var isIncomplete: Bool { !damage.isEmpty || lossCount > 0 }

  /// Whether `lostEvents` is the number of all that are missing: each place is told, and how many are missing there.
  package var isLossNumberKnown: Bool {
    damage.isEmpty && lossesUnknown != true && lostByCounters == nil && losses.count == lossCount
      && losses.allSatisfy { $0.count != nil }
  }
}
