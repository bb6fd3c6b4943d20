public import CostFit
public import KVMTypes
internal import LockModel
internal import Stage2Model

/// EL2's host lock under the VMs of a plan. They share it, so their loads add up. `modelled`.
public struct HostLockPlan: Sendable, Encodable {
  /// The costs.
  public let costs: String
  /// Their basis: `modelled` for those fitted to recorded durations, `assumed` for any other.
  public let costsBasis: Basis
  /// The error of the costs: of map and unmap the greater relative error on durations that the fit did not see, with
  /// two standard errors; nil if nobody checked.
  public let costError: Double?
  /// What each recorded VM asks for.
  public let loads: [HostLockLoad]
  /// How often a VM takes the lock in a second, the mean of the recorded ones.
  public let acquisitionsPerSecond: Double
  /// The share of the time in which one VM holds it, least and most, with the error of the costs.
  public let perVMLeast: Double
  /// The most.
  public let perVMMost: Double
  /// The share of the time for which the planned VMs would hold it if none ever waited: above 1 they ask for more than
  /// one lock has.
  public let demandLeast: Double
  /// The most.
  public let demandMost: Double
  /// The share of the time in which they hold it, simulated. It is below what they ask for, and never above 1: who waits
  /// for the lock asks for it later.
  public let utilisationLeast: Double
  /// The most.
  public let utilisationMost: Double
  /// What one acquisition waits for it on average, at the most.
  public let meanWaitMostNs: Double
  /// How many VMs of this kind ask for all of the lock's time, if each takes the most. With more of them the lock is held
  /// nearly always, and each slows down the others.
  public let saturatesAtLeast: Double
  /// If each takes the least; nil where the costs have nothing for EL2's part.
  public let saturatesAtMost: Double?

  /// How all of it is known; nil where the costs are too far off for what they give to say anything.
  public let basis: Basis?

  /// Whether it is not.
  package var isUnknown: Bool { basis == nil }

  private static let clientsMax = 4096
  private static let acquisitionsWarm = 20_000
  private static let acquisitionsMax = 100_000

  /// The plan for `vms` VMs like those of `loads`; nil where there are none.
  public init?(_ loads: [HostLockLoad], _ costs: CostModel, vms: Int) {
    guard !loads.isEmpty else { return nil }
    func mean(_ value: (HostLockLoad) -> Double) -> Double {
      loads.reduce(0) { $0 + value($1) } / Double(loads.count)
    }
    self.loads = loads
    self.costs = costs.name
    costError = Self.error(costs)
    basis = (costError ?? 0) > 1 ? nil : .modelled
    costsBasis = costs.drivers.values.contains { $0.basis == .modelled } ? .modelled : .assumed
    let rate = mean { Double($0.acquisitions) / Double($0.spanNs) }
    acquisitionsPerSecond = rate * 1e9
    let error = costError ?? 0
    let least = mean { $0.heldLeastNs / Double($0.spanNs) } * max(0, 1 - error)
    let most = mean { $0.heldMostNs / Double($0.spanNs) } * (1 + error)
    perVMLeast = min(least, most)
    perVMMost = most
    demandLeast = perVMLeast * Double(vms)
    demandMost = most * Double(vms)
    saturatesAtLeast = 1 / most
    saturatesAtMost = perVMLeast > 0 ? 1 / perVMLeast : nil
    let threads = max(1, Int(mean { Double($0.vcpus) }.rounded()))
    // The simulation draws its times, so that it comes near what is asked for from both sides.
    let leastHeld = Self.simulate(vms, threads: threads, rate: rate, load: perVMLeast).utilisation
    let (mostHeld, wait) = Self.simulate(vms, threads: threads, rate: rate, load: perVMMost)
    (utilisationLeast, utilisationMost) = (min(leastHeld, demandLeast), min(mostHeld, demandMost))
    meanWaitMostNs = wait
  }

  private static func error(_ costs: CostModel) -> Double? {
    let checked = ["map", "unmap"].compactMap { costs.quality?.operations[$0] }
    return checked.compactMap { operation in
      operation.relativeError.map { abs($0) + 2 * (operation.standardError ?? 0) }
    }.max()
  }

  /// Every vCPU of every VM asks for the lock, holds it and thinks, with exponential times, as often as was recorded where
  /// it does not wait. EL2's spinlock is a ticket lock: first come, first served.
  ///
  /// - Parameters:
  ///   - threads: those of a VM.
  ///   - rate: acquisitions of a VM in a nanosecond.
  ///   - load: the share of the time in which a VM alone holds the lock.
  private static func simulate(
    _ vms: Int, threads: Int, rate: Double, load: Double
  ) -> (utilisation: Double, meanWaitNs: Double) {
    guard load > 0, rate > 0 else { return (0, 0) }
    let hold = load / rate
    // More clients than can be simulated are taken together: fewer, each as often as several.
    let (all, overflow) = vms.multipliedReportingOverflow(by: threads)
    let clients = min(overflow ? .max : all, clientsMax)
    let think = max(0, Double(clients) / (rate * Double(vms)) - hold)
    let times = (min(think, 0x1p49), min(max(hold, 1), 0x1p49))
    var simulation = LockSimulation(
      DrawnClients(
        count: clients, think: ExponentialTime(mean: times.0), hold: ExponentialTime(mean: times.1),
        reads: 0, seed: 1), policy: LockPolicy(faultLock: .write))
    simulation.run(acquisitions: acquisitionsWarm)
    simulation.discardStatistics()
    simulation.run(acquisitions: acquisitionsMax)
    let report = simulation.report()
    return (min(report.writeUtilisation, 1), report.total.write.meanWait)
  }
}
