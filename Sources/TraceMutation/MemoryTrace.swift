package import KVMTrace
package import KVMTypes
internal import Stage2Replay

/// A trace in memory: records in the order of time, to be changed and replayed.
package struct MemoryTrace: EventSource {
  package var pageSize: PageSize?
  package var uname: String
  package var hasOperationProbes: Bool
  /// The kinds of event that were recorded, nil where that is not known.
  package var recordableKinds: Set<EventKind>?
  /// The clock of the stamps, nil for nanoseconds.
  package var clock: TraceClock?
  /// The commands of threads.
  package var commands: [ThreadID: String]
  /// The records, in the order of time.
  package var records: [TraceRecord]

  /// A trace of these records.
  package init(
    _ records: [TraceRecord], pageSize: PageSize?, uname: String, hasOperationProbes: Bool,
    commands: [ThreadID: String] = [:]
  ) {
    self.records = records
    self.commands = commands
    self.pageSize = pageSize
    self.uname = uname
    self.hasOperationProbes = hasOperationProbes
  }

  /// Reads everything that a replay reads of a file.
  package init(_ trace: TraceFile) {
    var records: [TraceRecord] = []
    _ = trace.forEachRun(.replay(probes: true)) { run in records.append(contentsOf: run.records) }
    var commands: [ThreadID: String] = [:]
    for record in records where commands[record.tid] == nil {
      commands[record.tid] = trace.command(of: record.tid)
    }
    self.init(
      records, pageSize: HostPageSize(of: trace).pageSize, uname: trace.uname,
      hasOperationProbes: trace.hasOperationProbes,
      commands: commands)
  }

  /// The same trace with other records.
  package func with(_ records: [TraceRecord]) -> MemoryTrace {
    var trace = self
    trace.records = records
    return trace
  }

  /// The trace as a clock would have stamped it that only goes on every `tick`: events of one tick come CPU by CPU.
  package func coarsened(to tick: Nanoseconds) -> MemoryTrace {
    var changed = records
    for index in changed.indices {
      let time = changed[index].time.rawValue
      changed[index].time = Nanoseconds(time - time % tick.rawValue)
    }
    let order = changed.indices.sorted { a, b in
      (changed[a].time, changed[a].cpu.rawValue, a) < (changed[b].time, changed[b].cpu.rawValue, b)
    }
    return with(order.map { changed[$0] })
  }

  /// The trace as it would be if events of some kinds had not been recorded.
  ///
  /// - Parameter keepsFormats: whether the trace still has their formats, as if they had been recorded and none had come.
  package func without(_ kinds: Set<EventKind>, keepsFormats: Bool) -> MemoryTrace {
    var trace = with(records.filter { !kinds.contains($0.kind) })
    trace.recordableKinds = keepsFormats ? nil : Set(EventKind.allCases).subtracting(kinds)
    return trace
  }

  package var account: SourceAccount { SourceAccount(kinds: recordableKinds) }
  package var cpuCount: Int { Int(records.lazy.map(\.cpu.rawValue).max() ?? 0) + 1 }
  package var path: String { "memory" }
  package var format: String { "records in memory" }
  package var canBeReadTwice: Bool { true }

  package func command(of tid: ThreadID) -> String? { commands[tid] }

  package func forEachRun(
    _ selection: EventSelection, _ body: (EventRun) throws -> Void
  ) rethrows -> EventStatistics {
    func isWanted(_ kind: EventKind) -> Bool {
      selection.includesOperationProbes || !kind.isOperationProbe
    }
    try records.withUnsafeBufferPointer { records in
      var begin = 0
      while begin < records.count {
        var end = begin
        while end < records.count, records[end].cpu == records[begin].cpu, isWanted(records[end].kind) {
          end += 1
        }
        if end > begin {
          try EventRun.with(UnsafeBufferPointer(rebasing: records[begin..<end]), body)
        }
        begin = max(end, begin + 1)
      }
    }
    var statistics = EventStatistics()
    statistics.first = records.first?.time
    statistics.last = records.last?.time
    return statistics
  }
}
