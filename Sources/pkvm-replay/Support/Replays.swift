import ArgumentParser
import ForeignStage2
import KVMTrace
import Reporting
import Stage2Model
import Stage2Replay

/// Replays as commands make them: a profile that does not go with the trace is one line and status 64.
enum Replays {
  /// - Parameter backend: the shared object in the place of the model, nil for the model.
  static func run(
    _ trace: TraceFile, profile request: ProfileRequest, options: ReplayOptions,
    backend: ReplayedBackend? = nil, observer: ReplayObserver = ReplayObserver(),
    onOperation: ((Stage2Operation) throws -> Void)? = nil
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    Phases.begin("survey of \(trace.path)")
    var observer = observer
    let onBegin = observer.onBegin
    observer.onBegin = { profile in
      Phases.begin("replay of \(trace.path)")
      try onBegin?(profile)
    }
    let found = try explaining(trace) { [observer] in
      if let backend {
        return try run(trace, request, options, on: backend, observer, onOperation)
      }
      return try Replay.run(
        trace, profile: request, options: options, observer: observer, onOperation: onOperation)
    }
    Phases.begin("report")
    return found
  }

  /// Replays a trace on the stage-2 MMU of a shared object.
  private static func run(
    _ trace: TraceFile, _ request: ProfileRequest, _ options: ReplayOptions, on backend: ReplayedBackend,
    _ observer: ReplayObserver, _ onOperation: ((Stage2Operation) throws -> Void)?
  ) throws -> (result: ReplayResult, statistics: EventStatistics) {
    var observer = observer
    let onBegin = observer.onBegin
    observer.onBegin = { model in
      do throws(BackendProblem) {
        try backend.library.check(ForeignShape(model.profile, isProtected: false))
      } catch {
        throw Diagnostics.failure(error)
      }
      try onBegin?(model)
    }
    let found = try Replay.run(
      trace, profile: request, options: options, observer: observer, onOperation: onOperation
    ) { backend.make($0) }
    if let refusal = backend.library.refusal { throw Diagnostics.failure(refusal) }
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
