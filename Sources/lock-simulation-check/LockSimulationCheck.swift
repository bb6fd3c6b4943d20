import LockModel
import QueueingOracle

#if canImport(Glibc)
  import Glibc
#endif

/// Compares the simulation of `mmu_lock` with what queueing theory knows, and measures its speed:
/// `tools/lock-simulation-check`.
///
///     lock-simulation-check [ACQUISITIONS] [SEEDS]
///
/// 1,000,000 acquisitions with each of 5 seeds unless told otherwise. Exit status 1 if any figure of any run
/// is off by more than 2 %.
@main
struct LockSimulationCheck {
  static let tolerance = 0.02

  static func main() {
    let numbers = CommandLine.arguments.dropFirst().map(Int.init)
    guard numbers.count <= 2, numbers.allSatisfy({ $0 ?? 0 > 0 }) else {
      print("usage: tools/lock-simulation-check [ACQUISITIONS] [SEEDS]")
      exit(64)
    }
    let acquisitions = numbers.first.flatMap { $0 } ?? 1_000_000
    let seeds = UInt64(numbers.dropFirst().first.flatMap { $0 } ?? 5)

    var failures = 0
    for queue in QueueingCase.all {
      let clock = ContinuousClock()
      let start = clock.now
      let reports = (1...seeds).map { queue.simulate(acquisitions, $0) }
      let took = clock.now - start
      let events = reports.reduce(0) { $0 + $1.events }
      print("\(queue.name)  (\(nanoseconds(took) / events) ns an event)")
      for figure in queue.figures {
        let found = reports.map(figure.read)
        let mean = found.reduce(0, +) / Double(found.count)
        let worst = found.map { error($0, figure.expected) }.max()!
        if worst > tolerance { failures += 1 }
        print(
          "  \(padded(figure.name, 46)) \(decimal(figure.expected))  \(decimal(mean))"
            + "  worst error \(decimal(100 * worst)) %\(worst > tolerance ? "  FAILED" : "")")
      }
    }
    print(failures == 0 ? "all within 2 %" : "\(failures) figures off by more than 2 %")
    exit(failures == 0 ? 0 : 1)
  }

  /// The relative error; where theory says 0, the figure itself.
  static func error(_ found: Double, _ expected: Double) -> Double {
    abs(found - expected) / (expected == 0 ? 1 : expected)
  }

  static func nanoseconds(_ duration: Duration) -> Int {
    let (seconds, attoseconds) = duration.components
    return Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)
  }

  static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// Four digits after the point.
  static func decimal(_ x: Double) -> String {
    let scaled = Int((x * 10_000).rounded())
    let digits = String(scaled % 10_000)
    return padded("", 4 - String(scaled / 10_000).count) + "\(scaled / 10_000)."
      + String(repeating: "0", count: 4 - digits.count) + digits
  }
}
