import KVMTypes
import LockModel
import SeededRandom
import Stage2Model
import Testing

/// What holds for every set of clients.
@Suite("Properties of the simulation")
struct PropertyTests {
  /// Clients of every kind, with short times so that moments coincide.
  static func clients(seed: UInt64) -> [[LockRequest]] {
    var random = SplitMix64(seed: seed)
    let longest = [3, 20, 1000][random.below(3)]
    return (0..<(1 + random.below(9))).map { _ in
      (0..<random.below(40)).map { _ in
        LockRequest(
          UInt64(random.below(longest * 3)), [.read, .write, .fault][random.below(3)],
          UInt64(random.below(longest)), points: random.below(4) == 0 ? UInt32(random.below(5)) : 0)
      }
    }
  }

  @Test("A naive simulation gives the same schedule", arguments: 0..<150 as Range<UInt64>)
  func naive(seed: UInt64) {
    let clients = Self.clients(seed: seed)
    for faultLock in Profile.FaultLock.allCases {
      for drops in [false, true] {
        let report = simulate(clients, faultLock: faultLock, dropsWhenContended: drops)
        #expect(
          Outcome(report)
            == naiveOutcome(clients, faultsWrite: faultLock == .write, dropsWhenContended: drops))
      }
    }
  }

  @Test("Numbers in the lock are rates times times", arguments: 0..<100 as Range<UInt64>)
  func conservation(seed: UInt64) {
    let report = simulate(Self.clients(seed: seed))
    let span = Double(report.span.rawValue)
    let waits = report.total.read.wait.total.rawValue + report.total.write.wait.total.rawValue
    // Little's law; both sides are sums of whole nanoseconds that a Double holds exactly.
    #expect((report.meanWaiters * span).rounded() == Double(waits))
    #expect((report.meanReaders * span).rounded() == Double(report.total.read.hold.total.rawValue))
    #expect(report.writtenTime == report.total.write.hold.total)
    #expect(report.readTime <= report.total.read.hold.total)
    #expect(report.acquisitions == report.total.sections + report.drops)
  }

  @Test("Sections that arrive at their own pace obey the same laws")
  func openClients() {
    var simulation = LockSimulation(
      JoinedClients(
        DrawnClients(
          arrivals: ExponentialTime(mean: 400), hold: ConstantTime(100), reads: 0.5, seed: 7),
        RecordedClients([[.init(50, .write, 2000)]], loops: true)),
      policy: LockPolicy(faultLock: .write))
    simulation.run(acquisitions: 2000)
    let report = simulation.report()
    #expect(report.mostWaiters > 2)
    #expect(report.clients.count == 2)
    #expect(report.clients[1].read.acquisitions == 0)
    #expect(report.clients[0].write.hold.max == Nanoseconds(100))
    #expect(report.total.write.hold.total <= report.writtenTime)
    #expect(report.acquisitions == 2000)
  }

  @Test("The seed determines the result")
  func determinism() {
    func run(_ seed: UInt64) -> Outcome {
      var simulation = LockSimulation(
        DrawnClients(
          count: 5, think: ExponentialTime(mean: 3000), hold: ExponentialTime(mean: 1000), reads: 0.5,
          seed: seed), policy: LockPolicy(faultLock: .read))
      simulation.run(acquisitions: 5000)
      return Outcome(simulation.report())
    }
    #expect(run(1) == run(1))
    #expect(run(1) != run(2))
  }
}

/// Clients made of recorded ones.
@Suite("Clients from recordings")
struct RecordedClientTests {
  let recorded: [[LockRequest]] = [
    (0..<100).map { LockRequest($0, .fault, 1000 + $0) }, [], [.init(5, .read, 7), .init(6, .write, 8)],
  ]

  private func drawn(_ clients: inout some LockClients, _ client: Int, _ count: Int) -> [LockRequest] {
    (0..<count).compactMap { _ in clients.next(client) }
  }

  @Test("Recorded clients repeat their sections in order")
  func recordedOnce() {
    var once = RecordedClients(recorded, loops: false)
    #expect(once.count == 3)
    #expect(drawn(&once, 0, 200) == recorded[0])
    #expect(drawn(&once, 1, 2).isEmpty)
    var looped = RecordedClients(recorded, loops: true)
    #expect(drawn(&looped, 2, 5) == recorded[2] + recorded[2] + [recorded[2][0]])
  }

  @Test("More clients are clones that begin elsewhere, fewer are the first ones")
  func scaling() {
    var more = RecordedClients(recorded, count: 6, seed: 1, loops: false)
    #expect(more.count == 6)
    #expect(drawn(&more, 0, 200) == recorded[0])
    #expect(drawn(&more, 1, 200) == recorded[2])
    let clones = [2, 4].map { drawn(&more, $0, 200) }
    for clone in clones {
      #expect(clone.count == 100)
      #expect(Set(clone) == Set(recorded[0]))
      #expect(clone != recorded[0])
    }
    #expect(clones[0] != clones[1])
    var fewer = RecordedClients(recorded, count: 1, seed: 1, loops: false)
    #expect(fewer.count == 1)
    #expect(drawn(&fewer, 0, 200) == recorded[0])
    #expect(RecordedClients([[], []], count: 4, seed: 1, loops: true).count == 0)
  }

  @Test("Resampled clients draw every recorded section about equally often")
  func resampling() {
    var clients = ResampledClients(recorded, count: 4, seed: 1)
    let many = drawn(&clients, 0, 10_000)
    var counts = [LockRequest: Int]()
    for request in many { counts[request, default: 0] += 1 }
    #expect(Set(counts.keys) == Set(recorded[0]))
    // 100 expected of each, with a standard deviation of 10.
    #expect(counts.values.allSatisfy { (50...150).contains($0) })
    #expect(Set(drawn(&clients, 3, 100)) == Set(recorded[2]))
    #expect(drawn(&clients, 0, 50) != drawn(&clients, 2, 50))
  }

  @Test("Joined clients keep their order and their kind")
  func joining() {
    let stream = DrawnClients(
      arrivals: ConstantTime(9), hold: ConstantTime(1), reads: 1, seed: 1)
    var joined = JoinedClients(RecordedClients(recorded, loops: false), stream)
    #expect(joined.count == 4)
    #expect((0..<4).map { joined.isOpen($0) } == [false, false, false, true])
    #expect(joined.next(2) == recorded[2][0])
    #expect(joined.next(3) == .init(9, .read, 1))
  }
}
