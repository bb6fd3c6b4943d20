package import KVMTrace
package import KVMTypes

/// Where a replay gets its events from: a file, or records in memory. It makes two passes over them.
package protocol RecordSource {
  /// The host's page size, where it is known beforehand.
  var pageSize: PageSize? { get }
  /// A number of bytes than which the host's pages are no bigger, such as the size of a sub-buffer of the ring buffer; nil where
  /// nothing tells.
  var pageBytesMax: Int? { get }
  /// What `uname` said on the traced host, "" where that is not known.
  var uname: String { get }
  /// Whether there can be probes on the kernel's stage-2 operations.
  var hasOperationProbes: Bool { get }

  /// The kinds of event that there can be, nil where that is not known.
  var knownKinds: Set<EventKind>? { get }

  /// The command that a thread ran, nil where that is not known.
  func command(of tid: ThreadID) -> String?

  /// How many processors the host had.
  var cpuCount: Int { get }
  /// Where the metadata is damaged or cut.
  var damage: [Damage] { get }

  /// Makes a pass over the records that `selection` wants, in the order of time.
  ///
  /// - Parameter body: receives consecutive records of one CPU, one at least, which are valid during the call, and how
  ///   many damaged places that CPU's buffer has had so far.
  /// - Returns: what the pass counted.
  func forEachRun(
    _ selection: EventSelection, _ body: (EventRun, _ damage: Int) throws -> Void
  ) rethrows -> EventStatistics

  /// The marker that the event at `position` of a run is; nil for every other event.
  func marker(of run: EventRun, at position: Int) -> TraceMarker?
}

extension TraceFile: RecordSource {
  /// A file tells the size of sub-buffers only.
  package var pageSize: PageSize? { nil }
  package var pageBytesMax: Int? { min(pageBytes, subBufferBytes) }
  package var knownKinds: Set<EventKind>? { recordableKinds }

  package func forEachRun(
    _ selection: EventSelection, _ body: (EventRun, _ damage: Int) throws -> Void
  ) rethrows -> EventStatistics {
    var events = events(selection)
    while let run = events.nextRun() { try body(run, events.damageCountOfRun) }
    return events.statistics
  }
}
