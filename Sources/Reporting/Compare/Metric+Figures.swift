public import KVMTrace
internal import KVMTypes
internal import Stage2Model
public import Stage2Replay

extension Metric {
  /// The figures of one replay, or the range that two replays, of the least and the most, span.
  ///
  /// - Parameter statistics: of the trace.
  public static func metrics(_ results: [ReplayResult], _ statistics: EventStatistics) -> [Metric] {
    span(
      results.map { result in
        var figures = FigureList(result)
        // Of a recording without a VM nothing tells what VMs would have done: it began late, or lacks what would tell of them.
        guard !result.vms.isEmpty else { return [] }
        figures.addVMs()
        figures.addOperations()
        figures.addMemory()
        figures.addLock(result.part.span(statistics))
        return figures.metrics
      })
  }
}

/// The figures of one replay, as they are collected.
private struct FigureList {
  private(set) var metrics: [Metric] = []
  private let result: ReplayResult
  let certainty: Certainty

  init(_ result: ReplayResult) {
    self.result = result
    certainty = Certainty(result)
  }

  /// How the figures of VMs make one.
  private enum Combination {
    case sum
    /// Of what does not add up, such as a depth.
    case greatest
  }

  /// - Parameters:
  ///   - basis: how it is known, nil where it is not.
  ///   - ifAny: whether there is no such figure where all VMs have none of it.
  private mutating func add(
    _ name: String, or otherName: String? = nil, in unit: Metric.Unit = .count, _ basis: Basis?,
    ifAny: Bool = false, by combination: Combination = .sum, _ value: (VMResult) -> Int
  ) {
    guard let basis else {
      return metrics.append(.unknown(name, or: otherName))
    }
    let values = result.vms.map(value)
    if ifAny, !values.contains(where: { $0 != 0 }) { return }
    let all = Double(combination == .sum ? values.reduce(0, +) : values.max() ?? 0)
    metrics.append(
      Metric(name: name, otherName: otherName, unit: unit, least: all, most: all, basis: basis))
  }

  mutating func addVMs() { add("vms", certainty.slots) { _ in 1 } }

  mutating func addOperations() {
    add("faults.total", certainty.tellsTables ? certainty.faults : nil) { vm in
      // Under another kernel: what is no fault on memory stays, the rest is what the accesses take.
      vm.faults.total - vm.accesses + vm.modelledFaults
    }
    for kind in OperationKind.allCases {
      let basis = certainty.tells(kind) ? certainty.operations(kind) : nil
      let name = "operations.\(kind.word)"
      add("\(name).count", basis, ifAny: true) { $0.operations[kind]?.count ?? 0 }
      add("\(name).eagain", basis, ifAny: true) { $0.operations[kind]?.again ?? 0 }
      add("\(name).errors", basis, ifAny: true) { $0.operations[kind]?.errors ?? 0 }
    }
    add("hypercallsTotal", or: "hypercalls", certainty.tellsHypercalls ? certainty.hypercalls : nil) {
      $0.hypercalls?.values.reduce(0, +) ?? 0
    }
    for call in Hypercall.allCases.sorted(by: { $0.word < $1.word }) {
      add("hypercalls.\(call.word)", certainty.tells(call) ? certainty.hypercalls : nil, ifAny: true) {
        $0.hypercalls?[call] ?? 0
      }
    }
  }

  mutating func addMemory() {
    let isTold = certainty.tellsTables
    func told(_ basis: Basis) -> Basis? { isTold ? basis : nil }
    let (mappings, tables) = (told(certainty.mappings), told(certainty.tables))
    let (treeBytes, total) = (told(certainty.mappingTreeBytes), told(certainty.totalBytes))
    func name(_ rest: String) -> String { "memory.\(rest)" }
    add(name("mappings.live"), or: "mappings.live", mappings) { $0.memory.mappings.live }
    add(name("mappings.peak"), or: "mappings.peak", mappings) { $0.memory.mappings.peak }
    add(name("mappings.page.peak"), or: "mappings.pagePeak", mappings) { $0.memory.pageMappings.peak }
    add(name("mappings.block.peak"), or: "mappings.blockPeak", mappings) { $0.memory.blockMappings.peak }
    add(name("mappingTreeBytes.live"), or: "mappingTreeBytes.live", in: .bytes, treeBytes) {
      $0.memory.mappingBytesLive
    }
    add(name("mappingTreeBytes.peak"), or: "mappingTreeBytes.peak", in: .bytes, treeBytes) {
      $0.memory.mappingBytesPeak
    }
    // Every call searches the tree, also one that nothing tells.
    add("treeNodesVisited", certainty.tellsHypercalls ? told(certainty.work) : nil, ifAny: true) {
      $0.work.values.reduce(0) { $0 + $1.treeNodes }
    }
    add(name("treeDepth.max"), or: "treeDepth.max", mappings, ifAny: true, by: .greatest) {
      $0.treeDepth?.maximum ?? 0
    }
    add(name("tablePages.live"), or: "tablePages.live", in: .pages, tables) { $0.memory.tables.live }
    add(name("tablePages.peak"), or: "tablePages.peak", in: .pages, tables) { $0.memory.tables.peak }
    add(name("memcachePages.live"), or: "memcachePages.live", in: .pages, tables) {
      $0.memory.pages(.hostMemcache).live + $0.memory.pages(.hypMemcache).live
    }
    add(name("totalBytes.live"), or: "totalBytes.live", in: .bytes, total) { $0.memory.totalBytes.live }
    add(name("totalBytes.peak"), or: "totalBytes.peak", in: .bytes, total) { $0.memory.totalBytes.peak }
    add("workingSet.pages", or: "touchedPages", in: .pages, told(certainty.touched)) { $0.workingSet.pages }
  }

  /// Times and counts of the locks, each VM's of its own, as the probes recorded them. Nothing stands for what was not recorded, and what
  /// is of a part says of which it is not.
  mutating func addLock(_ span: Range<UInt64>) {
    guard let lock = result.lock else { return }
    for (mode, held, waited) in [
      (LockMode.read, lock.readHold, lock.readWait), (.write, lock.writeHold, lock.writeWait),
    ] { addLock(mode, held: held, waited: waited) }
    let spanNs = span.upperBound - span.lowerBound
    let lacked = lackedHolds(.write)
    if let most = result.vms.compactMap({ $0.lock?.writeHold?.share(ofNs: spanNs) }).max() {
      addRecorded("lock.utilisation", .share, most, lacked)
    }
    if let most = result.vms.compactMap({ $0.lock?.writeHold?.share(ofNs: $0.lifeNs(in: span)) }).max() {
      addRecorded("lock.lifeUtilisation", .share, most, lacked)
    }
    for kind in OperationKind.allCases {
      guard let hold = lock.byOperation[kind]?.hold else { continue }
      let name = "lock.byOperation.\(kind.word)"
      addRecorded("\(name).count", .count, Double(hold.count))
      addRecorded("\(name).totalNs", .nanoseconds, Double(hold.total.rawValue))
      addTimes(hold) { "\(name).\($0.lowercasedFirst)Ns" }
    }
  }

  private mutating func addLock(_ mode: LockMode, held: DurationSummary?, waited: DurationSummary?) {
    let name = "lock.\(mode.word)"
    if let held {
      let lacked = lackedHolds(mode)
      addRecorded("\(name).acquisitions", .count, Double(held.count), lacked)
      addRecorded("\(name).heldNs", .nanoseconds, Double(held.total.rawValue), lacked)
      addTimes(held, lacked) { "\(name).held\($0)Ns" }
    }
    if let waited {
      let lacked = result.vms.filter { $0.lock?.tellsWaits == false }.map { "waits of VM \($0.id)" }
      addRecorded("\(name).waits", .count, Double(waited.count), lacked)
      addRecorded("\(name).waitNs", .nanoseconds, Double(waited.total.rawValue), lacked)
      addTimes(waited, lacked) { "\(name).wait\($0)Ns" }
    }
  }

  /// What is in no figure of the holds of a mode: functions that no probe timed, and holds of no VM that is known.
  private func lackedHolds(_ mode: LockMode) -> [String] {
    let functions = result.vms.reduce(into: Set<OperationKind>()) { kinds, vm in
      kinds.formUnion(vm.lock?.missing(mode) ?? [])
    }
    return functions.map(\.name).sorted()
      + (result.unattributedHolds.count > 0 ? ["calls for page tables of no known VM"] : [])
  }

  private mutating func addTimes(
    _ times: DurationSummary, _ lacked: [String] = [], _ name: (String) -> String
  ) {
    let all = [
      ("Mean", times.mean), ("P50", times.p50), ("P90", times.p90), ("P99", times.p99), ("P999", times.p999),
      ("Max", times.longest),
    ]
    for (statistic, time) in all { addRecorded(name(statistic), .nanoseconds, Double(time.rawValue), lacked) }
  }

  /// - Parameter lacked: what it would have, too, had that been recorded.
  private mutating func addRecorded(
    _ name: String, _ unit: Metric.Unit, _ value: Double, _ lacked: [String] = []
  ) {
    let metric = Metric(name: name, unit: unit, least: value, most: value, basis: .recorded, isMeasured: true)
    metrics.append(metric.lacking(lacked))
  }
}

extension String {
  fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
