import ArgumentParser
import KVMTrace
import Reporting
import Stage2Model
import Stage2Replay

/// Replays as commands make them: a profile that does not go with the trace is one line and status 64.
enum Replays {
  static func run(
    _ trace: TraceFile, profile request: ProfileRequest, options: ReplayOptions,
    observer: ReplayObserver = ReplayObserver(), onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    Phases.begin("survey of \(trace.path)")
    var observer = observer
    let onBegin = observer.onBegin
    observer.onBegin = { profile in
      Phases.begin("replay of \(trace.path)")
      onBegin?(profile)
    }
    let found = try explaining(trace) { [observer] in
      try Replay.run(trace, profile: request, options: options, observer: observer, onOperation: onOperation)
    }
    Phases.begin("report")
    return found
  }

  /// Makes of a profile that does not go with the trace, in `body`, one line and status 64.
  static func explaining<Result>(_ trace: TraceFile, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let problem as ProfileProblem {
      throw failure(trace, problem)
    }
  }

  /// One line about a profile that does not go with a trace.
  static func failure(_ trace: TraceFile, _ problem: ProfileProblem) -> ExitCode {
    Diagnostics.error("\(trace.path): cannot be replayed so: \(problem.description)")
    return ExitCode.validationFailure
  }
}
