import KVMTrace
import KVMTypes
import Stage2Replay
import TraceMutation

@main
struct ReplaySensitivity {
  static func main() throws {
    if CommandLine.arguments[1] == "merge" {
      let traces = try CommandLine.arguments.dropFirst(2).map { MemoryTrace(try TraceFile(path: $0)) }
      for threads in TraceMerger.Threads.allCases {
        for lag in [1 << 18] {
          var options = ReplayOptions()
          options.ignoresProbes = true
          options.lag = lag
          let comparison = try MergeComparison(traces, threads: threads, options: options)
          print(threads, lag, comparison.vms, comparison.operations, comparison.differences.count)
          for difference in comparison.differences.prefix(6) { print("  ", difference.prefix(1500)) }
        }
      }
      return
    }
    let n = Int(CommandLine.arguments[1])!
    var totals: [MutationKind: [String: Int]] = [:]
    let clock = ContinuousClock();
    for path in CommandLine.arguments.dropFirst(2) {
      let start = clock.now
      let trace = MemoryTrace(try TraceFile(path: path))
      var options = ReplayOptions()
      options.ignoresProbes = true
      let (result, _) = try Replay.run(over: trace, profile: ProfileRequest(), options: options)
      let subject = try MutationSubject(trace, replayed: result)
      let execution = subject.execution
      var bad = 0
      for vm in execution.vms.indices { bad += execution.impossibleFaults(vm: vm).count }
      var line = ""
      for kind in MutationKind.allCases {
        var possible = 0, all = 0
        for seed in 0..<UInt64(n) {
          var mutator = TraceMutator(subject, seed: seed)
          guard let mutation = mutator.mutation(kind) else { continue }
          all += 1
          let isPossible = subject.isPossible(mutation)
          if isPossible { possible += 1 }
          totals[kind, default: [:]][isPossible ? "possible" : "impossible", default: 0] += 1
        }
        line += " \(kind) \(possible)/\(all)"
      }
      print(path, "clean impossible", bad, clock.now - start, line)
    }
    for kind in MutationKind.allCases { print(kind, totals[kind] ?? [:]) }
  }
}
