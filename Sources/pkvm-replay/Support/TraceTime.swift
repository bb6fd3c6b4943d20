import ArgumentParser
import KVMTrace
import KVMTypes
import Reporting

/// A moment of the trace's clock on the command line: seconds, with up to nine digits behind the point, or ticks of a clock that
/// counts something else; with a + before them, since the first event of the trace.
struct TraceTime: ExpressibleByArgument {
  var moment: Nanoseconds
  /// The same number of ticks, for a clock that does not count nanoseconds; nil for a number with a point.
  private var ticks: UInt64?
  /// Whether it counts from the first event, or the part's beginning.
  private var isRelative = false

  init?(argument: String) {
    isRelative = argument.hasPrefix("+")
    let parts = argument.dropFirst(isRelative ? 1 : 0).split(
      separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = parts.count == 2 ? parts[1] : "0"
    guard parts[0].first != "+", let seconds = UInt64(parts[0]), !fraction.isEmpty, fraction.count <= 9,
      let nanoseconds = UInt64(fraction + String(repeating: "0", count: 9 - fraction.count)),
      seconds <= UInt64.max / 1_000_000_000 - 1
    else { return nil }
    moment = Nanoseconds(seconds * 1_000_000_000 + nanoseconds)
    ticks = parts.count == 1 ? seconds : nil
  }
}

// `--from` and `--to`.
extension TraceTime {
  /// Refuses a part that ends before it begins.
  static func check(from: TraceTime?, to: TraceTime?) throws {
    if let from, let to, from.isRelative == to.isRelative, from.moment >= to.moment {
      throw ValidationError("--from is not before --to: there is nothing between them")
    }
  }

  /// The part of a trace that two moments choose, of all that it has.
  ///
  /// - Parameter slice: what the trace says of the part of a recording that it is.
  static func choice(
    of trace: TraceFile, _ slice: SliceMarker?, from: TraceTime?, to: TraceTime?
  ) throws -> TracePart {
    var origin = slice?.from ?? Nanoseconds(0)
    if slice?.from == nil, from?.isRelative == true || to?.isRelative == true {
      var events = trace.events(.all)
      if let run = events.nextRun(), run.count > 0 { origin = run[0].time }
    }
    func resolved(_ time: TraceTime) throws -> TraceTime {
      var time = time
      if let clock = trace.clock, !clock.isNanoseconds {
        guard let ticks = time.ticks else {
          throw ValidationError(
            "the clock of \(trace.path), \(clock.name), counts ticks: there is no part of one")
        }
        time.moment = Nanoseconds(ticks)
      }
      guard time.isRelative else { return time }
      time.moment = time.moment + origin
      time.isRelative = false
      return time
    }
    let (from, to) = (try from.map(resolved), try to.map(resolved))
    try check(from: from, to: to)
    return TracePart(from: from?.moment, to: to?.moment)
  }

  /// Refuses a part that lies outside of the trace.
  static func check(_ part: TracePart, in statistics: EventStatistics, of trace: TraceFile) throws {
    do {
      try TraceWindow.check(part, statistics, trace.clock)
    } catch {
      throw Diagnostics.failure("\(trace.path): \(error)", .usage)
    }
  }

  /// The part of a trace that is chosen, nil where that is all of it.
  static func window(of trace: TraceFile, from: TraceTime?, to: TraceTime?) throws -> TraceWindow? {
    let slice = trace.slice
    let part = try choice(of: trace, slice, from: from, to: to).of(slice)
    if part.isWhole { return nil }
    do {
      return try TraceWindow(of: trace, part)
    } catch {
      throw Diagnostics.failure("\(trace.path): \(error)", .usage)
    }
  }
}
