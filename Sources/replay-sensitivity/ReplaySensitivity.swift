import Foundation
import KVMTrace
import KVMTypes
import Stage2Replay
import TraceMutation

/// Measures what the divergence rules notice: `tools/sensitivity`.
///
///     replay-sensitivity [--count N] [--seed N] [--kind NAME] [--synthetic N] [--list VERDICT] RECORDING...
///
/// Changes each recording in every way `count` times, replays it, and prints for each kind of change how many were
/// detected, how many are provably invisible, and how many were missed. Then replays synthetic traces, in which nothing
/// is wrong. Exit status 1 where fewer than 95 % are detected or invisible, or where there is a false alarm.
@main
struct ReplaySensitivity {
  static func main() throws {
    var options = Options()
    options.parse(CommandLine.arguments.dropFirst())
    var table = Table()
    var alarms = 0
    for path in options.recordings {
      let trace: TraceFile
      do {
        trace = try TraceFile(path: path)
      } catch {
        print(error.line)
        exit(error.kind == .noInput ? 66 : 65)
      }
      let recording = MemoryTrace(trace)
      let clean = try replay(recording)
      alarms += clean.divergences.unexplained
      for item in clean.divergences.items where item.verdict == .unexplained {
        print("\(path): as recorded, \(item.rule.id): \(item.observed), expected \(item.expected)")
      }
      let subject = try MutationSubject(recording, replayed: clean)
      for kind in MutationKind.allCases where options.kind.map({ $0 == kind.rawValue }) ?? true {
        for seed in options.seed..<(options.seed + UInt64(options.count)) {
          guard let trial = try subject.trial(kind, seed: seed) else { continue }
          table.add(trial)
          if options.listed.contains(trial.verdict.rawValue) {
            print("\(path) --kind \(kind) --seed \(seed): \(trial.verdict): \(trial.mutation.summary)")
            print("    \(trial.rules.joined(separator: ", "))")
          }
        }
      }
      fflush(nil)
    }
    print(table.text)

    for seed in options.seed..<(options.seed + UInt64(options.synthetic)) {
      let found = try SyntheticTraces().replay(seed: seed).divergences
      alarms += found.unexplained
      for item in found.items where item.verdict == .unexplained {
        print("synthetic trace \(seed): \(item.rule.id): \(item.observed), expected \(item.expected)")
      }
    }
    print(
      "unexplained divergences in unchanged recordings and \(options.synthetic) synthetic traces: \(alarms)")
    if table.share < 0.95 || table.falseAlarms > 0 || alarms > 0 { exit(1) }
  }

  private static func replay(_ trace: MemoryTrace) throws -> ReplayResult {
    var options = ReplayOptions()
    options.ignoresProbes = true
    return try Replay.run(over: trace, profile: ProfileRequest(), options: options).result
  }
}

/// How many changes of each kind came to what.
struct Table {
  private var counts: [MutationKind: [Verdict: Int]] = [:]

  mutating func add(_ trial: Trial) {
    counts[trial.mutation.kind, default: [:]][trial.verdict, default: 0] += 1
  }

  private func sum(_ verdict: Verdict) -> Int { counts.values.reduce(0) { $0 + ($1[verdict] ?? 0) } }

  /// Of all changes, the share that was detected or is invisible.
  var share: Double {
    let all = Verdict.allCases.reduce(0) { $0 + sum($1) }
    return all == 0 ? 1 : Double(sum(.detected) + sum(.invisible)) / Double(all)
  }

  var falseAlarms: Int { sum(.falseAlarm) }

  var text: String {
    func line(_ name: String, _ cells: [String]) -> String {
      name.padding(toLength: 26, withPad: " ", startingAt: 0)
        + cells.map { String(repeating: " ", count: max(0, 12 - $0.count)) + $0 }.joined()
    }
    var lines = [line("change", Verdict.allCases.map(\.rawValue))]
    for kind in MutationKind.allCases {
      guard let row = counts[kind] else { continue }
      lines.append(line(kind.rawValue, Verdict.allCases.map { "\(row[$0] ?? 0)" }))
    }
    lines.append(line("all", Verdict.allCases.map { "\(sum($0))" }))
    lines.append("detected or provably invisible: \((share * 10_000).rounded() / 100) %")
    return lines.joined(separator: "\n")
  }
}

struct Options {
  var count = 50
  var seed: UInt64 = 1
  var kind: String?
  var synthetic = 0
  var listed: Set<String> = []
  var recordings: [String] = []

  mutating func parse(_ arguments: ArraySlice<String>) {
    var rest = arguments
    while let name = rest.popFirst() {
      guard name.hasPrefix("--") else {
        recordings.append(name)
        continue
      }
      guard let value = rest.popFirst() else { usage("\(name) lacks a value") }
      switch name {
      case "--count": count = number(name, value)
      case "--seed": seed = UInt64(number(name, value))
      case "--kind":
        if MutationKind(rawValue: value) == nil { usage("no kind of change is called \(value)") }
        kind = value
      case "--synthetic": synthetic = number(name, value)
      case "--list":
        if Verdict(rawValue: value) == nil { usage("no verdict is called \(value)") }
        listed.insert(value)
      default: usage("unknown option \(name)")
      }
    }
  }

  private func number(_ name: String, _ value: String) -> Int {
    guard let number = Int(value), number >= 0 else { usage("\(name) takes a number, not \(value)") }
    return number
  }

  private func usage(_ problem: String) -> Never {
    print(
      """
      \(problem)
      usage: sensitivity [--count N] [--seed N] [--kind NAME] [--synthetic N] [--list VERDICT]... RECORDING...
      kinds: \(MutationKind.allCases.map(\.rawValue).joined(separator: " "))
      verdicts: \(Verdict.allCases.map(\.rawValue).joined(separator: " "))
      """)
    exit(64)
  }
}
