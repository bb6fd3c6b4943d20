import KVMTypes
import LockModel
import QueueingOracle
import SeededRandom
import Testing

/// Queueing theory knows these answers. `tools/lock-simulation-check` compares them at 1,000,000 acquisitions,
/// within 2 %; here shorter runs with different seeds say how far off their own mean may be.
@Suite("Results known in closed form")
struct QueueingTests {
  @Test("The simulation agrees with queueing theory", arguments: QueueingCase.all)
  func closedForms(queue: QueueingCase) {
    let runs = 30
    let reports = (0..<runs).map { queue.simulate(1000, UInt64($0)) }
    for figure in queue.figures {
      let found = reports.map(figure.read)
      let mean = found.reduce(0, +) / Double(runs)
      let squares = found.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      let standardError = (squares / Double(runs * (runs - 1))).squareRoot()
      // Of Student's distribution with 29 degrees of freedom, 1 in 20,000 lies beyond 4.8; quantiles are as
      // exact as the histogram's bins, 1 %.
      #expect(
        abs(mean - figure.expected) <= 4.8 * standardError + 0.01 * figure.expected,
        "\(figure.name): \(mean) for \(figure.expected)")
      #expect(
        standardError <= 0.05 * figure.expected, "\(figure.name): the runs are too short to tell anything")
    }
  }

  @Test("Drawn lengths have the moments of their distributions")
  func moments() throws {
    var random = SplitMix64(seed: 3)
    let samples = (0..<50_000).map { _ in Double(ExponentialTime(mean: 1e6).sample(&random)) }
    let mean = samples.reduce(0, +) / 50_000
    let square = samples.reduce(0) { $0 + $1 * $1 } / 50_000
    // Standard errors of 0.45 % and 2.0 % (the variance of the square is 20).
    #expect(abs(mean / 1e6 - 1) < 0.02)
    #expect(abs(square / 1e12 - 2) < 0.16)
    // 1 in e^5 lies beyond five means: 337 expected, with a standard deviation of 18.
    #expect((265...409).contains(samples.count { $0 > 5e6 }))
    #expect(EmpiricalTime([]) == nil)
    let two = try #require(EmpiricalTime([10, 20]))
    #expect(Set((0..<100).map { _ in two.sample(&random) }) == [10, 20])
    #expect(ExponentialTime(mean: 0).sample(&random) == 0)
  }

  @Test("Quantiles are those of the lengths, to two digits")
  func quantiles() {
    let holds = (1...1000).map { LockRequest(1, .write, $0 * 100) }
    let report = simulate([holds])
    for (fraction, expected) in [(0.5, 50_000.0), (0.9, 90_000), (0.99, 99_000), (0.999, 99_900)] {
      let found = Double(report.total.write.hold.quantile(fraction).rawValue)
      #expect(abs(found / expected - 1) < 0.01)
    }
    #expect(report.total.write.hold.quantile(1) == Nanoseconds(100_000))
    #expect(report.total.write.waitQuantile(0.99) == Nanoseconds(0))
    #expect(report.total.read.hold.quantile(0.5) == Nanoseconds(0))
  }

  @Test("The quantile of all waits counts those that did not wait")
  func waitQuantiles() {
    // Nine of ten requests find the lock free; the tenth waits for 90.
    let alone = (0..<8).map { _ in LockRequest(1000, .write, 100) }
    let report = simulate([alone + [.init(1000, .write, 100)], [.init(1010, .write, 1)]])
    #expect(report.acquisitions == 10)
    #expect(report.total.write.waitQuantile(0.9) == Nanoseconds(0))
    #expect(report.total.write.waitQuantile(0.95) == Nanoseconds(90))
    #expect(report.total.write.wait.quantile(0.5) == Nanoseconds(90))
    #expect(report.total.write.meanWait == 9)
  }
}
