import KVMTrace
import KVMTypes

#if canImport(Glibc)
  import Glibc
#endif

/// How fast a trace is read on one thread, with the fields of every KVM event decoded and all CPUs merged.
///
///     ingest-bench FILE [ROUNDS]
///     ingest-bench --repeat TIMES FILE LONGER
///
/// Beside it stands what reading and decompressing the same pages takes, with nothing decoded: no reader can be faster. Each figure
/// is the best of the rounds, in CPU time, so that a busy machine does not count; a file that is in the page cache is taken for
/// granted.
@main
struct IngestBench {
  static func main() throws {
    let arguments = CommandLine.arguments
    if arguments.count == 5, arguments[1] == "--repeat", let times = UInt64(arguments[2]), times > 0 {
      return try LongerRecording.make(times, of: arguments[3], at: arguments[4])
    }
    guard arguments.count > 1 else {
      print("usage: ingest-bench FILE [ROUNDS], or ingest-bench --repeat TIMES FILE LONGER")
      exit(64)
    }
    let trace = try TraceFile(path: arguments[1])
    let rounds = arguments.count > 2 ? Int(arguments[2]) ?? 5 : 5
    var (events, checksum) = (UInt64(0), UInt64(0))
    let ingest = best(of: rounds) {
      (events, checksum) = (0, 0)
      let statistics = trace.forEachRun(.replay(probes: true)) { run in
        run.withRecords { for record in $0 { checksum &+= record.time.rawValue } }
      }
      events = statistics.total
    }
    var bytes = 0
    let pages = best(of: rounds) { bytes = trace.readPages() }
    print("events \(events) bytes \(bytes) checksum \(checksum)")
    print("ingest \(ingest) s, \(Double(events) / ingest / 1e6) M events/s")
    print("pages \(pages) s, \(Double(bytes) / pages / 1e6) MB/s, ingest at \(pages / ingest) of it")
  }

  /// The least CPU time, in seconds, that `body` took.
  private static func best(of rounds: Int, _ body: () -> Void) -> Double {
    (0..<max(rounds, 1)).map { _ in
      let begin = now()
      body()
      return now() - begin
    }.min()!
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
