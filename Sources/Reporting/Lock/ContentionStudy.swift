internal import KVMTypes
internal import LockModel
public import Stage2Model
public import Stage2Replay

/// What vCPUs would wait for each other: the recorded sections under a VM's lock, simulated with the fault lock taken to
/// read and to write, for more and fewer vCPUs than were recorded. Every figure is `modelled`.
public struct ContentionStudy: Sendable, Encodable {
  /// One simulation.
  public struct Case: Sendable, Encodable {
    /// The vCPUs.
    public let vcpus: Int
    /// How a fault takes the lock.
    public let faultLock: Profile.FaultLock
    /// Sections that ended in a second, of all threads.
    public let sectionsPerSecond: Double
    /// The share of the simulated time, from the first section of a vCPU to the end of the last, in which the lock was held
    /// to read; nil where sections of functions are missing whose time was not recorded, and there are no others.
    public let readUtilisation: Double?
    /// The share of that time in which it was held to write, nil likewise.
    public let writeUtilisation: Double?
    /// What an acquisition waited on average, waits of nothing included.
    public let meanWaitNs: Double
    /// All waits, summed.
    public let totalWaitNs: UInt64
    /// What 99 percent of all acquisitions did not wait longer than, waits of nothing included.
    public let waitP99Ns: UInt64
    /// The longest wait.
    public let waitMaxNs: UInt64
    /// Those acquisitions alone that had to wait.
    public let waits: Waits
    /// The longest time for which somebody always held the lock, and most that waited at once.
    public let longestChainNs: UInt64
    /// Most that waited at once.
    public let mostWaiters: Int
    /// By vCPU, as recorded ones come first: the mean wait and the mean hold.
    public let meanWaitsNs: [Double]
    /// The mean hold of each vCPU.
    public let meanHoldsNs: [Double]
  }

  /// The acquisitions of one simulation that did not get the lock at once, and what they waited.
  public struct Waits: Sendable, Encodable {
    /// How many they are.
    public let count: Int
    /// Their share of all acquisitions.
    public let share: Double
    /// Their mean wait.
    public let meanNs: Double
    /// What half of them did not wait longer than.
    public let p50Ns: UInt64
    /// What 99 percent of them did not wait longer than.
    public let p99Ns: UInt64
    /// The longest wait.
    public let maxNs: UInt64
  }

  /// The VM.
  public let vm: Int
  /// Its vCPUs, and the other threads that took its lock.
  public let recordedVCPUs: Int
  /// Threads that run no vCPU and took the lock.
  public let otherThreads: Int
  /// Sections of all threads, from the first of a vCPU on.
  public let recordedSections: Int
  /// The time from that to the end of the last section, as recorded.
  public let recordedNs: UInt64
  /// The seed of the random draws.
  public let seed: UInt64
  /// What waits the trace recorded, summed, beside what the simulation of the recorded vCPUs has for the same span.
  public let recordedWaitNs: UInt64?
  /// How far the simulated waits of the recorded vCPUs and lock are from the recorded ones, summed and relative: what
  /// to expect of the other cases. Nil where the trace recorded none, or they were not simulated.
  public let waitError: Double?
  /// How faults took the lock on the recorded host.
  public let tracedFaultLock: Profile.FaultLock
  /// By vCPUs, the read lock before the write lock.
  public let cases: [Case]

  /// The most sections that one simulation ends.
  private static let acquisitionsMax = 2_000_000

  /// Studies one VM; nil where no sections were recorded.
  ///
  /// - Parameter tracedFaultLock: how faults took the lock on the recorded host, whatever was modelled.
  public init?(
    _ vm: VMResult, faultLock tracedFaultLock: Profile.FaultLock, scales: [Int], seed: UInt64
  ) {
    // Before the vCPUs run, nobody waits for them.
    guard let first = vm.vcpus.compactMap({ vm.sections[$0]?.map(\.request).min() }).min() else { return nil }
    let sections = vm.sections.mapValues { $0.filter { $0.request >= first } }.filter { !$0.value.isEmpty }
    let last = sections.values.joined().map(\.end).max() ?? first
    let vcpus = vm.vcpus.compactMap { sections[$0].map { Self.requests($0, from: first) } }
    let others = sections.filter { !vm.vcpus.contains($0.key) }.sorted { $0.key < $1.key }.map {
      Self.requests($0.value, from: first)
    }
    self.vm = vm.id
    self.seed = seed
    recordedVCPUs = vcpus.count
    self.tracedFaultLock = tracedFaultLock
    otherThreads = others.count
    recordedSections = sections.values.reduce(0) { $0 + $1.count }
    let waits = [vm.lock?.readWait, vm.lock?.writeWait].compactMap { $0?.total.rawValue }
    recordedWaitNs = waits.isEmpty ? nil : waits.reduce(0) { $0.addingSaturated($1) }
    var cases: [Case] = []
    let span = Nanoseconds(last.rawValue - min(first.rawValue, last.rawValue))
    recordedNs = span.rawValue
    let missing = (vm.lock?.untimed ?? [:]).keys.map { Self.use(of: $0) }
    for count in scales {
      for faultLock in [Profile.FaultLock.read, .write] {
        let clients = JoinedClients(
          RecordedClients(vcpus, count: count, seed: seed, loops: false),
          RecordedClients(others, loops: false))
        var simulation = LockSimulation(clients, policy: LockPolicy(faultLock: faultLock))
        _ = simulation.run(
          acquisitions: Self.acquisitionsMax, until: Nanoseconds(span.rawValue.multipliedSaturated(by: 4)))
        cases.append(Case(simulation.report(), vcpus: count, faultLock, missing: missing))
      }
    }
    self.cases = cases
    let waited = Double(recordedWaitNs ?? 0)
    let traced = Self.traced(cases, recordedVCPUs, tracedFaultLock)
    waitError = waited == 0 ? nil : traced.map { Double($0.totalWaitNs) / waited - 1 }
  }

  /// The simulation of what was recorded, if it is one of `cases`.
  private static func traced(_ cases: [Case], _ vcpus: Int, _ faultLock: Profile.FaultLock) -> Case? {
    cases.first { $0.vcpus == vcpus && $0.faultLock == faultLock }
  }

  /// The sections of one thread, each with the time since the one before; the first since the first of all threads.
  private static func requests(_ sections: [RecordedSection], from first: Nanoseconds) -> [LockRequest] {
    var last = first
    return sections.map { section in
      let think = section.request > last ? section.request.rawValue - last.rawValue : 0
      last = section.end
      return LockRequest(
        think: Nanoseconds(think), use: use(of: section.kind),
        hold: Nanoseconds(section.end.rawValue - section.start.rawValue))
    }
  }

  /// What a function asks of the lock.
  private static func use(of kind: OperationKind) -> LockUse {
    switch kind {
    case .map, .relaxPerms: .fault
    case .mkyoung: .read
    default: .write
    }
  }
}

extension ContentionStudy.Case {
  /// - Parameter missing: what functions ask of the lock whose sections were not recorded.
  init(_ report: LockReport, vcpus: Int, _ faultLock: Profile.FaultLock, missing: [LockUse]) {
    self.vcpus = vcpus
    self.faultLock = faultLock
    sectionsPerSecond = report.sectionsPerSecond
    let faults: LockUse = faultLock == .read ? .read : .write
    let lacking = Set(missing.map { $0 == .fault ? faults : $0 })
    readUtilisation = report.readUtilisation == 0 && lacking.contains(.read) ? nil : report.readUtilisation
    writeUtilisation =
      report.writeUtilisation == 0 && lacking.contains(.write) ? nil : report.writeUtilisation
    func mean(_ client: LockReport.Client, _ time: (LockUsage) -> UInt64) -> Double {
      let count = client.read.acquisitions + client.write.acquisitions
      return count == 0 ? 0 : (Double(time(client.read)) + Double(time(client.write))) / Double(count)
    }
    meanWaitNs = mean(report.total) { $0.wait.total.rawValue }
    totalWaitNs = (report.total.read.wait.total + report.total.write.wait.total).rawValue
    var all = report.total.read
    all.add(report.total.write)
    waitP99Ns = all.waitQuantile(0.99).rawValue
    waitMaxNs = all.wait.max.rawValue
    waits = ContentionStudy.Waits(all)
    longestChainNs = report.longestChain.rawValue
    mostWaiters = report.mostWaiters
    let clients = report.clients.prefix(vcpus)
    meanWaitsNs = clients.map { mean($0) { $0.wait.total.rawValue } }
    meanHoldsNs = clients.map { mean($0) { $0.hold.total.rawValue } }
  }
}

extension ContentionStudy.Case {
  /// The heads of a table of cases.
  package static let header = [
    "vCPUs", "faults", "sections/s", "read", "write", "waited", "mean", "p99", "longest", "chain", "queue",
  ]

  /// Its row in such a table.
  package var cells: [String] {
    [
      String(vcpus), faultLock.word, Quantity.count(UInt64(nearest: sectionsPerSecond)),
      readUtilisation.map(Quantity.share) ?? "unknown", writeUtilisation.map(Quantity.share) ?? "unknown",
      Quantity.share(waits.share), Quantity.duration(UInt64(nearest: waits.meanNs)),
      Quantity.duration(waits.p99Ns), Quantity.duration(waits.maxNs), Quantity.duration(longestChainNs),
      String(mostWaiters),
    ]
  }
}

extension ContentionStudy.Waits {
  init(_ usage: LockUsage) {
    count = usage.wait.count
    share = usage.acquisitions == 0 ? 0 : Double(count) / Double(usage.acquisitions)
    meanNs = usage.wait.mean
    p50Ns = usage.wait.quantile(0.5).rawValue
    p99Ns = usage.wait.quantile(0.99).rawValue
    maxNs = usage.wait.max.rawValue
  }
}

extension ContentionStudy {
  /// The study as a page of text.
  public var text: String {
    var page = TextPage(.filed)
    write(&page)
    return page.rendered
  }

  /// The study as a part of a page.
  func write(_ page: inout TextPage) {
    page.heading("VM \(vm): \(simulated) (modelled, seed \(seed))")
    page.table(
      header: Case.header,
      alignRight: [true, false, true, true, true, true, true, true, true, true, true],
      rows: cases.map(\.cells), spare: [10, 9, 2, 8, 4, 3, 6, 1])
    page.line(Self.columns)
    page.line(waitsText)
  }

  /// What is simulated, in words.
  package var simulated: String {
    "\(Quantity.count(recordedVCPUs, "recorded vCPU")), "
      + "\(Quantity.count(recordedSections, "section")) under mmu_lock in \(Quantity.duration(recordedNs)), from the first of a "
      + "vCPU to the last"
  }

  /// What the columns of a table of cases are.
  package static let columns =
    "faults: how they take the lock; read, write: the shares of that time, as simulated, in which it is held so; waited: the share of "
    + "acquisitions that do not get it at once; mean, p99, longest: what those wait; chain: the longest time without a "
    + "moment in which it is free; queue: most that wait at once"

  /// How far simulated waits are from recorded ones.
  package var waitsText: String {
    guard let recordedWaitNs else { return "the error of the waits is unknown: the trace recorded none" }
    let traced = Self.traced(cases, recordedVCPUs, tracedFaultLock)
    return "waits: \(Quantity.duration(recordedWaitNs)) recorded"
      + (traced.map { ", \(Quantity.duration($0.totalWaitNs)) simulated for the recorded vCPUs and lock" }
        ?? "")
      + (waitError.map { ": error \(Quantity.signedPercent($0))" } ?? "")
  }
}
