import KVMTypes
import LockModel
import Stage2Model
import Testing

/// Schedules that were worked out by hand.
@Suite("Schedules of the fair lock")
struct ScheduleTests {
  @Test("A waiting writer stops later readers")
  func fairness() {
    // The first reader holds from 0 to 100. The writer waits from 10 to 100 and holds to 150. The second reader
    // came at 20 and could share with the first, but waits for the writer, to 150.
    let report = simulate([[.init(0, .read, 100)], [.init(10, .write, 50)], [.init(20, .read, 30)]])
    #expect(report.clients[0].read.wait.count == 0)
    #expect(report.clients[1].write.wait.total == Nanoseconds(90))
    #expect(report.clients[2].read.wait.total == Nanoseconds(130))
    #expect(report.span == Nanoseconds(180))
    #expect(report.readTime == Nanoseconds(130))
    #expect(report.writtenTime == Nanoseconds(50))
    #expect(report.longestChain == Nanoseconds(180))
    #expect(report.mostWaiters == 2)
    // Two wait from 20 to 100, one from 10 to 20 and from 100 to 150.
    #expect(report.meanWaiters == Double(2 * 80 + 10 + 50) / 180)
    #expect(report.utilisation == 1)
  }

  @Test("Readers share, also with one that came later")
  func readersShare() {
    let report = simulate([[.init(0, .read, 100)], [.init(10, .read, 20)], [.init(90, .read, 100)]])
    #expect(report.total.read.wait.count == 0)
    #expect(report.readTime == Nanoseconds(190))
    #expect(report.meanReaders == 220.0 / 190)
  }

  @Test("Readers at the head enter together, up to the next writer")
  func batches() {
    // The first writer holds to 100; readers of 5 and 6 enter at 100 and end at 140 and 110; the writer of 7
    // enters at 140, the reader of 8 behind it at 150.
    let report = simulate([
      [.init(0, .write, 100)], [.init(5, .read, 40)], [.init(6, .read, 10)], [.init(7, .write, 10)],
      [.init(8, .read, 5)],
    ])
    #expect(
      report.clients.map { $0.read.wait.total.rawValue + $0.write.wait.total.rawValue } == [
        0, 95, 94, 133, 142,
      ])
    #expect(report.span == Nanoseconds(155))
    #expect(report.mostWaiters == 4)
  }

  @Test("A client thinks from its release on")
  func closedLoop() {
    // The second client asks at 10, waits to 100, holds to 120, asks again at 150.
    let report = simulate([[.init(0, .write, 100)], [.init(10, .write, 20), .init(30, .write, 5)]])
    #expect(report.clients[1].write.wait.total == Nanoseconds(90))
    #expect(report.span == Nanoseconds(155))
    #expect(report.longestChain == Nanoseconds(120))
    #expect(report.clients[1].sections == 2)
  }

  @Test("At one moment holds end first, and requests come by number")
  func ties() {
    // At 100 the lock becomes free before clients 1 and 2 ask: 1 has it at once, 2 waits for it.
    let report = simulate([[.init(0, .write, 100)], [.init(100, .write, 10)], [.init(100, .write, 10)]])
    #expect(report.clients.map(\.write.wait.total.rawValue) == [0, 0, 10])
    // The lock was free for a moment at 100, and the chain from 0 ended there.
    #expect(report.longestChain == Nanoseconds(100))
    #expect(report.longestChainStart == Nanoseconds(0))
  }

  @Test("The policy decides how faults take the lock")
  func faultLock() {
    let faults: [[LockRequest]] = [[.init(0, .fault, 100)], [.init(10, .fault, 100)]]
    let write = simulate(faults, faultLock: .write)
    #expect(write.clients[1].write.wait.total == Nanoseconds(90))
    #expect(write.total.read.acquisitions == 0)
    let read = simulate(faults, faultLock: .read)
    #expect(read.total.read.acquisitions == 2)
    #expect(read.total.read.wait.count == 0)
    #expect(read.span == Nanoseconds(110))
  }

  @Test("A contended section lets others in at its resched points, and queues up for the rest")
  func reschedPoints() {
    // Pieces of 25: at 25 nobody waits. A reader of 30 to hold 10 and a writer of 40 to hold 20 get in at 50, in
    // this order, and the section goes on from 80 to its end at 130; at 105 nobody waits.
    let clients: [[LockRequest]] = [
      [.init(0, .write, 100, points: 3)], [.init(30, .read, 10)], [.init(40, .write, 20)],
    ]
    let report = simulate(clients)
    #expect(report.drops == 1)
    #expect(report.clients[0].write.acquisitions == 2)
    #expect(report.clients[0].sections == 1)
    #expect(report.clients[0].write.wait.total == Nanoseconds(30))
    #expect(report.clients[0].write.hold.total == Nanoseconds(100))
    #expect(report.clients[0].write.hold.max == Nanoseconds(50))
    #expect(report.clients[1].read.wait.total == Nanoseconds(20))
    #expect(report.clients[2].write.wait.total == Nanoseconds(20))
    #expect(report.span == Nanoseconds(130))

    let keeps = simulate(clients, dropsWhenContended: false)
    #expect(keeps.drops == 0)
    #expect(keeps.clients[1].read.wait.total == Nanoseconds(70))
    #expect(keeps.clients[0].write.hold.max == Nanoseconds(100))
  }

  @Test("Pieces that do not divide evenly add up")
  func unevenPieces() {
    let report = simulate([[.init(0, .write, 100, points: 6)], [.init(1, .read, 0)]])
    #expect(report.clients[0].write.hold.total == Nanoseconds(100))
    #expect(report.clients[1].read.wait.total == Nanoseconds(13))
    #expect(report.drops == 1)
  }

  @Test("A run stops where it is told and goes on from there")
  func limits() {
    let clients = RecordedClients([[.init(10, .write, 30)]], loops: true)
    var simulation = LockSimulation(clients, policy: LockPolicy(faultLock: .write))
    var goesOn = simulation.run(until: Nanoseconds(25))
    #expect(goesOn)
    var report = simulation.report()
    #expect(report.span == Nanoseconds(25))
    #expect(report.writtenTime == Nanoseconds(15))
    #expect(report.acquisitions == 1)
    #expect(report.total.write.hold.count == 0)
    #expect(report.longestChain == Nanoseconds(15))
    simulation.discardStatistics()
    goesOn = simulation.run(until: Nanoseconds(60))
    #expect(goesOn)
    report = simulation.report()
    #expect(report.span == Nanoseconds(35))
    #expect(report.writtenTime == Nanoseconds(25))
    #expect(report.total.sections == 1)
    goesOn = simulation.run(acquisitions: 3)
    report = simulation.report()
    #expect(goesOn)
    #expect(report.acquisitions == 1 + 3)
  }

  @Test("Nobody, clients without sections, and times at the end of the clock")
  func extremes() {
    #expect(simulate([]).span == Nanoseconds(0))
    #expect(simulate([]).utilisation == 0)
    #expect(simulate([[], [.init(5, .read, 5)]]).clients.map(\.sections) == [0, 1])
    // A hold without end: the second client never gets in, and the simulation says so.
    let report = simulate([[.init(1, .write, .max)], [.init(2, .write, 1)]])
    #expect(report.total.sections == 0)
    #expect(report.mostWaiters == 1)
    // A loop that takes no time runs once.
    var simulation = LockSimulation(
      RecordedClients([[.init(0, .write, 0)]], loops: true), policy: LockPolicy(faultLock: .write))
    let goesOn = simulation.run()
    #expect(!goesOn)
    let once = simulation.report()
    #expect(once.total.sections == 1)
  }

  @Test("Entry points of the kernel ask for the lock that they take")
  func uses() throws {
    let pkvm = try #require(Profile.builtIn(named: "7.3-pkvm"))
    let traditional = try #require(Profile.builtIn(named: "7.3-traditional"))
    #expect(LockUse(.userMemAbort, pkvm) == .fault)
    #expect(LockUse(.userMemAbort, traditional) == .fault)
    #expect(LockUse(.accessFault, pkvm) == .read)
    #expect(LockUse(.age, traditional) == .write)
    #expect(LockUse(.destroy, pkvm) == nil)
  }
}
