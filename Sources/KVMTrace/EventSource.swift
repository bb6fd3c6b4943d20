public import KVMTypes

/// Where events come from: a file, records in memory, or whoever hands them down as they happen. `info`, `events` and a replay
/// read from one.
///
/// What is asked before the first event may be unknown; a reader then goes by the events alone. Events come in *runs*, in the
/// order of time; markers and losses are events like others, and damage is told with the run behind it.
public protocol EventSource {
  /// What to call the source in messages: the path of a file, "-" for standard input.
  var path: String { get }
  /// What the source is, such as "trace.dat v7".
  var format: String { get }
  /// What `uname` said on the traced host, "" where that is not known.
  var uname: String { get }
  /// How many processors the host had.
  var cpuCount: Int { get }
  /// The host's page size, nil where it is not known beforehand.
  var pageSize: PageSize? { get }
  /// A number of bytes than which the host's pages are no bigger, such as the size of a sub-buffer of the ring buffer; nil where
  /// nothing tells.
  var pageBytesMax: Int? { get }
  /// What it tells of the events that are not in it.
  var account: SourceAccount { get }
  /// Whether there can be probes on the kernel's own stage-2 operations.
  var hasOperationProbes: Bool { get }
  /// Whether KVM's events have the form of another architecture: they say when a guest ran, in other fields.
  var hasForeignKVMEvents: Bool { get }
  /// The clock of the stamps, nil where that is not known: they are taken for nanoseconds.
  var clock: TraceClock? { get }
  /// Where the metadata is damaged or cut. Damage among the events comes with them.
  var damage: [Damage] { get }
  /// Whether every pass delivers all events. Otherwise the first pass takes them away, and a second one delivers none.
  var canBeReadTwice: Bool { get }

  /// The command that a thread ran, nil where that is not known.
  func command(of tid: ThreadID) -> String?

  /// Makes a pass over the events that `selection` wants, in the order of time.
  ///
  /// - Parameter body: receives run after run, each valid during the call. What it throws ends the pass.
  /// - Returns: what the pass counted.
  func forEachRun(
    _ selection: EventSelection, _ body: (EventRun) throws -> Void
  ) rethrows -> EventStatistics

  /// Calls `body`, which makes several passes. What they have in common may be kept in memory until it returns, as long as that is
  /// little. Calls can lie in one another; the outermost counts.
  func withSeveralPasses<Result>(_ body: () throws -> Result) rethrows -> Result
}

extension EventSource {
  /// Not known.
  public var pageSize: PageSize? { nil }
  /// Not known.
  public var pageBytesMax: Int? { nil }
  /// A recorder writes where events were lost. Which there can be is not known.
  public var account: SourceAccount { SourceAccount() }
  /// None.
  public var hasForeignKVMEvents: Bool { false }
  /// Not known.
  public var clock: TraceClock? { nil }
  /// None.
  public var damage: [Damage] { [] }

  /// Keeps nothing.
  public func withSeveralPasses<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }
}

extension TraceFile: EventSource {
  /// The size of a sub-buffer, or what the head calls the page size.
  public var pageBytesMax: Int? { subBufferBytes.map { min(pageBytes, $0) } }
  /// A pipe is copied when it is opened.
  public var canBeReadTwice: Bool { true }

  /// Makes a pass over the file.
  public func forEachRun(
    _ selection: EventSelection, _ body: (EventRun) throws -> Void
  ) rethrows -> EventStatistics {
    var events = events(selection)
    if let thread = selection.reader {
      return try ReadAhead(events, on: thread, mixesCPUs: selection.mixesCPUs).forEachRun(body)
    }
    if selection.mixesCPUs {
      var batch = EventBatch(ofAtLeast: Self.eventsOfBatch, mixesCPUs: true)
      var hasMore = true
      while hasMore {
        hasMore = batch.fill(from: &events)
        try batch.forEachRun(body)
      }
      return events.statistics
    }
    while let run = events.nextRun() { try body(run) }
    return events.statistics
  }

  /// So many records stay in the first cache of a core until they have been looked at.
  private static let eventsOfBatch = 256
}
