/// A protobuf trace of Perfetto: its ftrace events, as far as they are recorded one by one.
///
/// Stamps become those of CLOCK_BOOTTIME where the trace says what that is ahead of the kernel's clock, by one distance for the whole
/// trace, so that no event comes before another that it was behind.
final class PerfettoTrace: TranscodedTrace {
  /// With more streams pages are shorter, for each has one.
  private static let longPageStreamsMax = 32
  private static let pageBytes = 1 << 16
  private static let shortPageBytes = 1 << 14

  let uname: String
  let clock: String
  let cpuCount: Int
  let commands: [Int32: String]
  let formatTexts: [(system: String, text: String)]
  let damage: [Damage]
  let listsKinds: Bool
  /// The host's page size in bytes, nil where it is not recorded.
  let hostPageBytes: Int?
  let compression: String
  private let files: BundleFiles
  /// Those of each CPU by one clock: of every writer that recorded it.
  private let streams: [[BundleStream]]
  private let clockOffsets: [FtraceClock: UInt64]
  private let events: (layout: EventLayout, generic: GenericEvents, identity: EventIdentity)

  /// Reads the whole of `file` once.
  ///
  /// - Parameter spoolLimit: how much of what is compressed in it may be written to a temporary file, in bytes; nil for half of what is
  ///   free there.
  init(_ file: FileBytes, spoolLimit: UInt64? = nil) throws(IngestError) {
    let survey = try PerfettoSurvey(file, spoolLimit: spoolLimit)
    if let failure = file.failure { throw failure }
    guard survey.packetCount > 0 else { throw Self.notATrace(file.path) }
    guard !survey.index.streams.isEmpty else { throw Self.withoutEvents(file.path, survey.damage.first) }
    let times = ClockOffsets(survey)
    files = survey.files
    compression =
      switch survey.compression {
      case nil: "none"
      case .deflate: "zlib"
      case .zstd: "zstd"
      }
    streams = Self.byCPU(survey.index.streams.filter { times.offsets[$0.clock] != nil })
    clock = times.name
    clockOffsets = times.offsets
    damage = survey.damage + times.damage
    listsKinds = survey.events.isListed
    uname = survey.host.uname
    cpuCount = survey.host.cpuCount
    commands = survey.host.commands
    hostPageBytes = survey.host.pageBytes
    var formats = CanonicalFormats()
    let (layout, nameless) = survey.events.layout(&formats)
    events = (layout, survey.events.generic, EventIdentity(formats, nameless: nameless))
    formatTexts = formats.texts.enumerated().map { position, format in
      nameless.contains(position) ? (format.system, Self.withoutFields(format.text)) : format
    }
  }

  var format: String { "Perfetto" }

  var streamCount: Int { streams.count }

  var notes: [String] {
    guard streams.contains(where: Self.haveOneTime) else { return [] }
    return [
      "several data sources recorded a CPU at one time; an event that more than one of them has is read once"
    ]
  }

  func cpu(ofStream stream: Int) -> UInt16 { streams[stream][0].cpu }

  func pages(ofStream stream: Int) -> any PageSupply {
    let pageBytes =
      streams.joined().count > Self.longPageStreamsMax ? Self.shortPageBytes : Self.pageBytes
    let writers = streams[stream].map { bundles in
      let transcoder = EventTranscoder(
        layout: events.layout, generic: events.generic, clockOffset: clockOffsets[bundles.clock] ?? 0)
      return BundlePages(files, bundles, transcoder, pageBytes: pageBytes)
    }
    return writers.count == 1
      ? writers[0] : MergedPages(writers, events.identity, pageBytes: pageBytes)
  }

  /// Puts those of one CPU and one clock together, which lie one behind the other.
  private static func byCPU(_ streams: [BundleStream]) -> [[BundleStream]] {
    var groups: [[BundleStream]] = []
    for stream in streams {
      if let last = groups.last?.first, last.cpu == stream.cpu, last.clock == stream.clock {
        groups[groups.count - 1].append(stream)
      } else {
        groups.append([stream])
      }
    }
    return groups
  }

  /// Whether one of the writers recorded something before another one's last event, and behind its first.
  private static func haveOneTime(_ writers: [BundleStream]) -> Bool {
    let ordered = writers.sorted { $0.runs[0].first < $1.runs[0].first }
    var latest: UInt64?
    for writer in ordered {
      if let latest, writer.runs[0].first <= latest { return true }
      latest = max(latest ?? 0, writer.latest)
    }
    return false
  }

  /// A format's first two lines: such a format says that nothing is known of the event's fields.
  private static func withoutFields(_ text: String) -> String {
    text.split(separator: "\n", maxSplits: 2).prefix(2).map { $0 + "\n" }.joined()
  }

  private static func notATrace(_ path: String) -> IngestError {
    IngestError(
      .notATrace, path: path, what: "is not a Perfetto trace",
      advice: "such a trace is a row of packets, as perfetto --out writes them")
  }

  /// - Parameter damage: the first damaged place: where the events may have been.
  private static func withoutEvents(_ path: String, _ damage: Damage?) -> IngestError {
    IngestError(
      .notATrace, path: path, offset: damage?.offset,
      what: "is a Perfetto trace without ftrace events" + (damage.map { ": \($0.what)" } ?? ""),
      advice: """
        record with the data source linux.ftrace, whose ftrace_config has ftrace_events: "kvm/*"
        """)
  }
}

/// What makes the stamps of each clock of a trace those of one clock.
private struct ClockOffsets {
  private(set) var offsets: [FtraceClock: UInt64] = [:]
  /// The kernel's name for that clock.
  private(set) var name = FtraceClock.boot.name
  private(set) var damage: [Damage] = []

  init(_ survey: PerfettoSurvey) {
    let clocks = Set(survey.index.streams.map(\.clock))
    for clock in clocks {
      switch clock {
      case .boot: offsets[clock] = 0
      case .monotonicRaw: offsets[clock] = survey.host.bootAheadOfRaw ?? survey.index.bootAhead[clock]
      case .global, .local, .unknown: offsets[clock] = survey.index.bootAhead[clock]
      }
    }
    if clocks.count == 1, offsets.isEmpty, let only = clocks.first {
      (offsets[only], name) = (0, only.name)
    }
    for clock in clocks where offsets[clock] == nil {
      damage.append(
        Damage(
          offset: 0,
          what: """
            events by the clock "\(clock.name)" are left out: what CLOCK_BOOTTIME is ahead of it is not recorded
            """))
    }
  }
}
