internal import KVMTypes
package import LockModel
internal import Stage2Model

/// A lock and clients for which queueing theory knows the answer, and the simulation of them.
package struct QueueingCase: Sendable {
  /// One figure that both give.
  package struct Figure: Sendable {
    /// What it is.
    package let name: String
    /// What theory says.
    package let expected: Double
    /// The same figure of a simulation. Times are in units of the mean hold.
    package let read: @Sendable (LockReport) -> Double
  }

  /// In Kendall's notation where there is one.
  package let name: String
  /// What is compared.
  package let figures: [Figure]
  /// Simulates this many acquisitions, after a tenth as many that are not counted, so that the queue fills.
  package let simulate: @Sendable (_ acquisitions: Int, _ seed: UInt64) -> LockReport

  /// The mean of every hold in nanoseconds: long enough that rounding to nanoseconds does not show.
  static let hold = 10_000.0

  init<Clients: LockClients & SendableMetatype>(
    _ name: String, _ figures: [Figure], clients: @escaping @Sendable (_ seed: UInt64) -> Clients
  ) {
    self.name = name
    self.figures = figures
    simulate = { acquisitions, seed in
      var simulation = LockSimulation(clients(seed), policy: LockPolicy(faultLock: .write))
      simulation.run(acquisitions: acquisitions / 10)
      simulation.discardStatistics()
      simulation.run(acquisitions: acquisitions)
      return simulation.report()
    }
  }
}

extension QueueingCase: CustomStringConvertible {
  package var description: String { name }

  /// Every case.
  package static let all: [QueueingCase] =
    [
      poisson(
        "M/M/1, load 0.5", load: 0.5, hold: ExponentialTime(mean: hold), secondMoment: 2,
        moreFigures: [
          // More than t with the probability 0.5 e^(-t/2).
          figure("90 % of waits within", 2 * logarithm(5)) {
            Double($0.total.write.waitQuantile(0.9).rawValue) / hold
          }
        ]),
      poisson("M/D/1, load 0.7", load: 0.7, hold: ConstantTime(UInt64(hold)), secondMoment: 1),
      // A quarter of the holds is five times as long as the others: 3/4 1/4 + 1/4 25/4 = 7/4.
      poisson(
        "M/G/1, two lengths, load 0.5", load: 0.5,
        hold: EmpiricalTime([UInt64(hold / 2), UInt64(hold / 2), UInt64(hold / 2), UInt64(hold * 5 / 2)])!,
        secondMoment: 1.75),
      openReaders,
      closedReaders,
      closedWriters("M/M/1//8", think: ExponentialTime(mean: hold * 6)),
      // The number at the lock depends on the mean of the think time alone.
      closedWriters("D/M/1//8", think: ConstantTime(UInt64(hold * 6))),
    ] + [0.2, 0.5, 0.9].map { mixed(reads: $0) }

  private static func figure(
    _ name: String, _ expected: Double, _ read: @escaping @Sendable (LockReport) -> Double
  ) -> Figure {
    Figure(name: name, expected: expected, read: read)
  }

  /// Writers that arrive in a Poisson process: the formula of Pollaczek and Khinchine.
  ///
  /// - Parameter secondMoment: the mean square of the hold, its mean being 1.
  private static func poisson(
    _ name: String, load: Double, hold length: some TimeDistribution & Sendable, secondMoment: Double,
    moreFigures: [Figure] = []
  ) -> QueueingCase {
    let wait = load * secondMoment / (2 * (1 - load))
    return QueueingCase(
      name,
      [
        figure("mean wait", wait) { $0.total.write.meanWait / hold },
        figure("mean sojourn", wait + 1) { ($0.total.write.meanWait + $0.total.write.hold.mean) / hold },
        figure("utilisation", load) { $0.utilisation },
        figure("waiting on average", load * wait) { $0.meanWaiters },
        figure("did not wait", 1 - load) {
          1 - Double($0.total.write.wait.count) / Double($0.total.write.acquisitions)
        },
      ] + moreFigures
    ) { seed in
      DrawnClients(
        arrivals: ExponentialTime(mean: hold / load), hold: length, reads: 0, seed: seed)
    }
  }

  /// Readers alone never wait: M/M/infinity. The number of readers has Poisson's distribution.
  private static var openReaders: QueueingCase {
    QueueingCase(
      "M/M/infinity, 3 readers on average",
      [
        figure("readers on average", 3) { $0.meanReaders },
        figure("utilisation", 1 - exponential(-3)) { $0.readUtilisation },
        figure("waits", 0) { Double($0.total.read.wait.count) },
      ]
    ) { seed in
      DrawnClients(
        arrivals: ExponentialTime(mean: hold / 3), hold: ExponentialTime(mean: hold), reads: 1, seed: seed)
    }
  }

  /// 6 threads that read a third of the time, independently of each other.
  private static var closedReaders: QueueingCase {
    let free = (1...6).reduce(1.0) { product, _ in product * 2 / 3 }
    return QueueingCase(
      "6 threads that read",
      [
        figure("readers on average", 2) { $0.meanReaders },
        figure("utilisation", 1 - free) { $0.readUtilisation },
        figure("sections per hold", 2) { $0.sectionsPerSecond * hold / 1e9 },
        figure("waits", 0) { Double($0.total.read.wait.count) },
      ]
    ) { seed in
      DrawnClients(
        count: 6, think: ExponentialTime(mean: hold * 2), hold: ExponentialTime(mean: hold), reads: 1,
        seed: seed)
    }
  }

  /// 8 threads that think six times as long as they write: the repairman's problem.
  private static func closedWriters(
    _ name: String, think: some TimeDistribution & Sendable
  ) -> QueueingCase {
    let threads = 8
    let ratio = 1.0 / 6
    // The weight of k threads at the lock, relative to none.
    var weight = 1.0
    var sum = 1.0
    for k in 1...threads {
      weight *= Double(threads - k + 1) * ratio
      sum += weight
    }
    let utilisation = 1 - 1 / sum
    let wait = Double(threads) / utilisation - 1 / ratio - 1
    return QueueingCase(
      name,
      [
        figure("utilisation", utilisation) { $0.writeUtilisation },
        figure("sections per hold", utilisation) { $0.sectionsPerSecond * hold / 1e9 },
        figure("mean wait", wait) { $0.total.write.meanWait / hold },
        figure("waiting on average", utilisation * wait) { $0.meanWaiters },
      ]
    ) { seed in
      DrawnClients(
        count: threads, think: think, hold: ExponentialTime(mean: hold), reads: 0, seed: seed)
    }
  }

  /// 5 threads that read or write: the Markov chain of the fair lock, solved.
  private static func mixed(reads: Double) -> QueueingCase {
    let chain = FairLockChain(threads: 5, think: 3, reads: reads)
    return QueueingCase(
      "5 threads, \(reads) of their sections read",
      [
        figure("read utilisation", chain.readUtilisation) { $0.readUtilisation },
        figure("write utilisation", chain.writeUtilisation) { $0.writeUtilisation },
        figure("readers on average", chain.meanReaders) { $0.meanReaders },
        figure("waiting on average", chain.meanWaiters) { $0.meanWaiters },
        figure("sections per hold", chain.throughput) { $0.sectionsPerSecond * hold / 1e9 },
      ]
    ) { seed in
      DrawnClients(
        count: 5, think: ExponentialTime(mean: hold * 3), hold: ExponentialTime(mean: hold), reads: reads,
        seed: seed)
    }
  }
}

/// The natural logarithm, by Newton's method.
private func logarithm(_ x: Double) -> Double {
  var y = 1.0
  for _ in 0..<100 { y += 2 * (x - exponential(y)) / (x + exponential(y)) }
  return y
}

/// The exponential function of a small number, by its series.
private func exponential(_ x: Double) -> Double {
  var term = 1.0
  var sum = 1.0
  for n in 1..<100 {
    term *= x / Double(n)
    sum += term
  }
  return sum
}
