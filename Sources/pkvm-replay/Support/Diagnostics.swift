import ArgumentParser
import Glibc
import KVMTrace
import Reporting
import Stage2Replay
import Synchronization

/// Messages on standard error: one line each.
enum Diagnostics {
  enum Kind { case usage, notATrace, noInput, inputOutput }

  /// How much is told.
  enum Level: Int {
    /// Errors: why the exit status is not 0.
    case quiet
    /// And what a reader of the output should know.
    case usual
    /// And how the program went about it.
    case verbose
  }

  private static let storedLevel = Atomic<Int>(Level.usual.rawValue)

  /// How much is told; the options of the command say.
  static var level: Level {
    get { Level(rawValue: storedLevel.load(ordering: .relaxed)) ?? .usual }
    set { storedLevel.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// Prints `line` and returns the exit status that goes with it.
  static func failure(_ line: String, _ kind: Kind) -> ExitCode {
    error(line)
    return switch kind {
    case .usage: ExitCode.validationFailure
    case .notATrace: ExitStatus.notATrace
    case .noInput: ExitStatus.noInput
    case .inputOutput: ExitStatus.inputOutput
    }
  }

  /// Prints one line about why the exit status is not 0. It may quote a path or a trace. An input that it begins with has the name that
  /// `IngestError` gives it.
  static func error(_ line: String) {
    let line = line.hasPrefix("-: ") ? "standard input\(line.dropFirst())" : line
    let text = "pkvm-replay: \(Safe.line(line))\n"
    Progress.shared.erased {
      text.utf8.withContiguousStorageIfAvailable { _ = Glibc.write(2, $0.baseAddress, $0.count) }
    }
  }

  /// Prints one line about what a reader of the output should know, unless the user wants errors alone.
  static func note(_ line: String) {
    if level != .quiet { error(line) }
  }

  /// Prints one line about how the program went about it, where the user wants to know.
  static func detail(_ line: String) {
    if level == .verbose { error(line) }
  }

  /// Says that the replay of `input` has unexplained divergences, and what may be the cause.
  static func error(contradictions: Int, of input: String, hint: String = "") {
    error(
      "\(input): \(contradictions == 1 ? "1 event contradicts" : "\(contradictions) events contradict") the model with "
        + "nothing to account for it; replay lists the causes, and `rules` what must hold\(hint)")
  }

  /// Opens all traces, for a replay. Those that cannot be opened, or are of no arm64 host, are told one by one, and the
  /// highest of their exit statuses is thrown.
  ///
  /// - Parameter allowLoss: whether the user allows a part of which events were left out.
  static func open(all paths: [String], _ spool: SpoolOptions, allowLoss: Bool) throws -> [TraceFile] {
    try OpenFiles.makeRoom(for: paths.count)
    var traces: [TraceFile] = []
    var worst = ExitCode.success
    for path in paths {
      do {
        let trace = try open(path, spool, allowLoss: allowLoss)
        if let reason = UnreplayableTrace(machineOf: trace) {
          throw failure(reason.description, .notATrace)
        }
        traces.append(trace)
      } catch let status as ExitCode {
        if status.rawValue > worst.rawValue { worst = status }
      }
    }
    if worst != .success { throw worst }
    return traces
  }

  /// Opens a trace; an error becomes one line and an exit status.
  static func open(_ path: String, _ spool: SpoolOptions) throws -> TraceFile {
    Phases.begin("open \(path)")
    do {
      let trace = try TraceFile(path: path, spoolLimit: spool.limit?.bytes)
      trace.progress = Progress.shared.reading
      return trace
    } catch {
      throw failure(error)
    }
  }

  /// Opens a trace for a replay, which would take what `slice` left out by CPU, thread or filter for what did not happen: such a part is
  /// refused, unless the user allows it.
  static func open(_ path: String, _ spool: SpoolOptions, allowLoss: Bool) throws -> TraceFile {
    let trace = try open(path, spool)
    guard !allowLoss, let chosen = trace.slice?.chosen, !chosen.isEmpty else { return trace }
    let names: [SliceMarker.Choice: String] = [.cpu: "CPUs", .thread: "threads", .filter: "values"]
    let kept = SliceMarker.Choice.allCases.filter(chosen.contains).compactMap { names[$0] }
    error(
      "\(path): holds the events of chosen \(kept.joined(separator: " and ")) alone: what else happened is missing, so that a "
        + "replay would say nothing; events and info read it, and slice by time or VM makes a part that replays"
    )
    throw ExitStatus.incomplete
  }

  /// Opens a trace for a replay, of which there is no use if its clock tells no time.
  static func openTimed(_ path: String, _ spool: SpoolOptions, allowLoss: Bool) throws -> TraceFile {
    let trace = try open(path, spool, allowLoss: allowLoss)
    if let clock = trace.clock, !clock.isNanoseconds {
      throw failure(
        "\(path): its clock, \(clock.name), counts ticks (one is \(clock.tick)): nothing tells how long anything took",
        .usage)
    }
    return trace
  }

  /// Prints an error of an input and returns the exit status that goes with it.
  static func failure(_ error: IngestError) -> ExitCode {
    let kind: Kind =
      switch error.kind {
      case .noInput: .noInput
      case .notATrace: .notATrace
      case .inputOutput: .inputOutput
      }
    return failure(error.line, kind)
  }
}
