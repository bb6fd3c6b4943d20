import KVMTrace
import Reporting
import Stage2Replay

/// What the traces of one command lack: reported after its output, once each.
struct Losses {
  private var lines: [String] = []
  private var failure: IngestError?
  /// For want of what the figures of traces are less certain, or say less, than others: a line each.
  private(set) var lacks: [String] = []
  /// Why figures of a trace may be unknown, by its path.
  private var reasons: [String: [String]] = [:]
  /// Of which events the figures of traces are, where some are missing or may be: a sentence each.
  private(set) var notes: [String] = []

  /// A trace was read.
  mutating func note(_ trace: TraceFile, _ statistics: EventStatistics) {
    failure = failure ?? statistics.readFailure
    let info = TraceInfo(trace, statistics)
    let line = "\(info.path): \(info.incompleteness)"
    if info.isIncomplete, !lines.contains(line) {
      lines.append(line)
      reasons[info.path, default: []].append(info.lacks)
    }
    if let note = info.figuresNote, !notes.contains(note) { notes.append(note) }
  }

  /// A trace was replayed; what lacks is told at once, however often the trace is replayed.
  ///
  /// - Parameter memslots: those that a file gave.
  mutating func note(
    _ trace: TraceFile, _ result: ReplayResult, _ statistics: EventStatistics, memslots: MemslotHistory?
  ) {
    let lack = result.lack.map { [$0] } ?? []
    noteReasons(trace, lack)
    note(trace, lack + MemslotFit.doubts(memslots, result, statistics))
  }

  /// Which figures of a trace are unknown, besides, where their numbers are held against those of others.
  mutating func noteUnknown(_ trace: TraceFile, _ result: ReplayResult) {
    noteReasons(trace, result.unknownAges)
    note(trace, result.unknownAges)
  }

  private mutating func noteReasons(_ trace: TraceFile, _ found: [String]) {
    if reasons[trace.path]?.contains(where: found.contains) != true {
      reasons[trace.path, default: []] += found
    }
  }

  private mutating func note(_ trace: TraceFile, _ found: [String]) {
    for line in found.map({ "\(trace.path): \($0)" }) where !lacks.contains(line) {
      lacks.append(line)
      Diagnostics.note(line)
    }
  }

  /// Why a figure of a trace is not known, in words: what the trace lacks, or that the figure was not recorded.
  func why(_ path: String) -> String {
    let found = reasons[path] ?? []
    return found.isEmpty ? "it was not recorded" : found.joined(separator: "; ")
  }

  /// Ends a command on one trace with `ExitStatus.incomplete` if that lacks anything, unless the user allows it; with
  /// `ExitStatus.inputOutput` if it could not be read.
  static func check(
    _ info: TraceInfo, _ statistics: EventStatistics, of input: String, allowLoss: Bool
  ) throws {
    if let failure = statistics.readFailure { throw Diagnostics.failure(failure) }
    guard info.isIncomplete, !allowLoss else { return }
    Diagnostics.error("\(input): \(info.incompleteness)")
    throw ExitStatus.incomplete
  }

  /// Ends the command with `ExitStatus.incomplete` if anything is lacking, unless the user allows it; with
  /// `ExitStatus.inputOutput` if an input could not be read.
  func finish(allowLoss: Bool) throws {
    if let failure { throw Diagnostics.failure(failure) }
    guard !lines.isEmpty, !allowLoss else { return }
    for line in lines { Diagnostics.error(line) }
    throw ExitStatus.incomplete
  }
}
