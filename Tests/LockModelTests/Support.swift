import KVMTypes
import LockModel
import Stage2Model

extension LockRequest {
  /// A section in plain numbers of nanoseconds.
  init(_ think: UInt64, _ use: LockUse, _ hold: UInt64, points: UInt32 = 0) {
    self.init(think: Nanoseconds(think), use: use, hold: Nanoseconds(hold), reschedPoints: points)
  }
}

/// Everything of a report that a schedule determines, in plain numbers.
struct Outcome: Equatable {
  /// What one client did in one mode.
  struct Usage: Equatable {
    var acquisitions = 0
    var waits: [UInt64] = [0, 0, 0]
    var holds: [UInt64] = [0, 0, 0]
  }

  var span: UInt64 = 0
  var sections: [Int] = []
  var usages: [Usage] = []
  var readTime: UInt64 = 0
  var writtenTime: UInt64 = 0
  var longestChain: UInt64 = 0
  var longestChainStart: UInt64 = 0
  var mostWaiters = 0
  var drops = 0

  init() {}

  init(_ report: LockReport) {
    span = report.span.rawValue
    sections = report.clients.map(\.sections)
    usages = report.clients.flatMap { [Usage($0.read), Usage($0.write)] }
    readTime = report.readTime.rawValue
    writtenTime = report.writtenTime.rawValue
    longestChain = report.longestChain.rawValue
    longestChainStart = report.longestChainStart.rawValue
    mostWaiters = report.mostWaiters
    drops = report.drops
  }
}

extension Outcome.Usage {
  init(_ usage: LockUsage) {
    acquisitions = usage.acquisitions
    waits = [UInt64(usage.wait.count), usage.wait.total.rawValue, usage.wait.max.rawValue]
    holds = [UInt64(usage.hold.count), usage.hold.total.rawValue, usage.hold.max.rawValue]
  }

  mutating func waited(_ time: UInt64) {
    acquisitions += 1
    if time > 0 { waits = [waits[0] + 1, waits[1] + time, max(waits[2], time)] }
  }

  mutating func held(_ time: UInt64) { holds = [holds[0] + 1, holds[1] + time, max(holds[2], time)] }
}

/// The report of recorded clients that run once to their end.
func simulate(
  _ clients: [[LockRequest]], faultLock: Profile.FaultLock = .write, dropsWhenContended: Bool = true
) -> LockReport {
  var simulation = LockSimulation(
    RecordedClients(clients, loops: false),
    policy: LockPolicy(faultLock: faultLock, dropsWhenContended: dropsWhenContended))
  simulation.run()
  return simulation.report()
}
