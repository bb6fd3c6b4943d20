import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting

/// A moment of the trace's clock on the command line: seconds, with up to nine digits behind the point.
struct TraceTime: ExpressibleByArgument {
  var moment: Nanoseconds

  init?(argument: String) {
    let parts = argument.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = parts.count == 2 ? parts[1] : "0"
    guard let seconds = UInt64(parts[0]), !fraction.isEmpty, fraction.count <= 9,
      let nanoseconds = UInt64(fraction + String(repeating: "0", count: 9 - fraction.count)),
      seconds <= UInt64.max / 1_000_000_000 - 1
    else { return nil }
    moment = Nanoseconds(seconds * 1_000_000_000 + nanoseconds)
  }
}

// `--from` and `--to`.
extension TraceTime {
  /// Refuses a part that ends before it begins.
  static func check(from: TraceTime?, to: TraceTime?) throws {
    if let from, let to, from.moment >= to.moment {
      throw ValidationError("--from is not before --to: there is nothing between them")
    }
  }

  /// Refuses a part that lies outside of the trace `input`.
  static func check(from: TraceTime?, to: TraceTime?, in statistics: EventStatistics, of input: String) throws
  {
    do {
      try TraceWindow.check(from: from?.moment, to: to?.moment, statistics)
    } catch {
      throw Diagnostics.failure("\(input): \(error)", .usage)
    }
  }

  /// The part of a trace that is chosen, nil where that is all of it.
  static func window(of trace: TraceFile, from: TraceTime?, to: TraceTime?) throws -> TraceWindow? {
    if from == nil, to == nil { return nil }
    do {
      return try TraceWindow(of: trace, from: from?.moment, to: to?.moment)
    } catch {
      throw Diagnostics.failure("\(trace.path): \(error)", .usage)
    }
  }
}
