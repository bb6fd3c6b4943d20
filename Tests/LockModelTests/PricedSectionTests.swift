import CostFit
import KVMTypes
import LockModel
import Stage2Model
import Testing

/// From counted work to waits: sections that a cost model prices, under two kernels.
@Suite("Priced sections")
struct PricedSectionTests {
  typealias Step = (think: Nanoseconds, section: LockSection)

  static let costs = CostModel(
    name: "a test", source: "a test",
    drivers: [
      .operation: CostValue(nanoseconds: 100, basis: .assumed, source: "a test"),
      .hypercall: CostValue(nanoseconds: 900, basis: .assumed, source: "a test"),
      .reschedPoint: CostValue(nanoseconds: 50, basis: .assumed, source: "a test"),
    ])

  static func step(
    _ think: UInt64, _ entryPoint: MMUEntryPoint, _ profile: Profile, hypercalls: Int, points: Int = 0
  ) -> Step {
    var section = LockSection(entryPoint, mode: entryPoint.lock(profile))
    section.work = Stage2Work(hypercalls: hypercalls)
    section.reschedPoints = points
    return (Nanoseconds(think), section)
  }

  static func requests(_ steps: [[Step]], _ profile: Profile) -> [[LockRequest]] {
    steps.map { steps in
      steps.compactMap { think, section in
        LockUse(section.entryPoint, profile).map {
          LockRequest(
            think: think, use: $0, hold: costs.time(of: section),
            reschedPoints: UInt32(section.reschedPoints))
        }
      }
    }
  }

  @Test("Faults of two vCPUs wait for each other only where faults write")
  func faults() throws {
    let pkvm = try #require(Profile.builtIn(named: "7.3-pkvm"))
    let steps = [
      [Self.step(0, .userMemAbort, pkvm, hypercalls: 1)],
      [Self.step(400, .userMemAbort, pkvm, hypercalls: 1)],
    ]
    let requests = Self.requests(steps, pkvm)
    #expect(requests[0] == [.init(0, .fault, 1000)])
    #expect(simulate(requests, faultLock: pkvm.faultLock).total.write.wait.total == Nanoseconds(600))
    #expect(simulate(requests, faultLock: .read).total.read.wait.total == Nanoseconds(0))
  }

  @Test("A notifier that unmaps lets faults in at its resched points; what takes no lock is no request")
  func notifier() throws {
    let pkvm = try #require(Profile.builtIn(named: "7.3-pkvm"))
    let requests = Self.requests(
      [
        [Self.step(0, .invalidateRangeStart, pkvm, hypercalls: 10, points: 1)],
        [Self.step(100, .destroy, pkvm, hypercalls: 5), Self.step(200, .userMemAbort, pkvm, hypercalls: 1)],
      ], pkvm)
    #expect(requests.map(\.count) == [1, 1])
    let report = simulate(requests)
    // The notifier holds for 100 + 10 * 900 + 50, in two pieces of 4575; the fault came at 200.
    #expect(report.clients[1].write.wait.total == Nanoseconds(4575 - 200))
    #expect(report.drops == 1)
    #expect(report.span == Nanoseconds(9150 + 1000))
  }
}
