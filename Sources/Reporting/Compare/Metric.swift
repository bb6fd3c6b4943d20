internal import KVMTypes
internal import Stage2Model
public import Stage2Replay

/// One figure of a replay, summed over the VMs, that can be held against that of another replay.
public struct Metric: Hashable, Sendable {
  /// What a figure counts.
  public enum Unit: String, Hashable, Sendable {
    case count, bytes, pages, nanoseconds
  }

  /// The name, which thresholds use: that of the JSON report, such as `mappingTreeBytes.peak`.
  public let name: String
  /// What it counts.
  public let unit: Unit
  /// The least and the most that the trace allows; equal where it decides.
  public var least: UInt64
  /// The most that the trace allows.
  public var most: UInt64

  /// Whether a difference of the figure means something by itself: counts and bytes follow from the model exactly, times
  /// vary from run to run of the same kernel.
  public var isExact: Bool { unit != .nanoseconds }
}

extension Metric {
  /// The figures of one replay, or the range that two replays, of the least and the most, span.
  public static func metrics(_ results: [ReplayResult]) -> [Metric] {
    let lists = results.map(figures)
    var names: [String] = []
    for name in lists.joined().map(\.name) where !names.contains(name) { names.append(name) }
    return names.map { name in
      let found = lists.map { list in list.first { $0.name == name } }
      let values = found.map { $0?.least ?? 0 }
      let unit = found.compactMap { $0?.unit }.first ?? .count
      return Metric(name: name, unit: unit, least: values.min() ?? 0, most: values.max() ?? 0)
    }
  }

  private static func figures(_ result: ReplayResult) -> [Metric] {
    let vms = result.vms
    var metrics: [Metric] = []
    func add(_ name: String, _ unit: Unit = .count, _ value: (VMResult) -> Int) {
      let sum = UInt64(clamping: vms.reduce(0) { $0 + value($1) })
      metrics.append(Metric(name: name, unit: unit, least: sum, most: sum))
    }
    func addIfAny(_ name: String, _ unit: Unit = .count, _ value: (VMResult) -> Int) {
      if vms.contains(where: { value($0) != 0 }) { add(name, unit, value) }
    }
    add("vms") { _ in 1 }
    add("faults.total") { vm in
      // Under another kernel: what is no fault on memory stays, the rest is what the accesses take.
      vm.faults.total - vm.accesses + vm.modelledFaults
    }
    for kind in OperationKind.allCases {
      addIfAny("operations.\(kind.reportName).count") { $0.operations[kind]?.count ?? 0 }
      addIfAny("operations.\(kind.reportName).eagain") { $0.operations[kind]?.again ?? 0 }
      addIfAny("operations.\(kind.reportName).errors") { $0.operations[kind]?.errors ?? 0 }
    }
    add("hypercalls") { $0.hypercalls?.values.reduce(0, +) ?? 0 }
    for name in Set(vms.flatMap { ($0.hypercalls ?? [:]).keys }).sorted() {
      add("hypercalls.\(name)") { $0.hypercalls?[name] ?? 0 }
    }
    add("mappings.live") { $0.memory.mappings.live }
    add("mappings.peak") { $0.memory.mappings.peak }
    add("mappings.pagePeak") { $0.memory.pageMappings.peak }
    add("mappings.blockPeak") { $0.memory.blockMappings.peak }
    add("mappingTreeBytes.live", .bytes) { $0.memory.mappingBytesLive }
    add("mappingTreeBytes.peak", .bytes) { $0.memory.mappingBytesPeak }
    addIfAny("treeNodesVisited") { $0.work.values.reduce(0) { $0 + $1.treeNodes } }
    addIfAny("treeDepth.max") { $0.treeDepth?.maximum ?? 0 }
    add("tablePages.live", .pages) { $0.memory.tables.live }
    add("tablePages.peak", .pages) { $0.memory.tables.peak }
    add("memcachePages.live", .pages) {
      $0.memory.pages(.hostMemcache).live + $0.memory.pages(.hypMemcache).live
    }
    add("totalBytes.live", .bytes) { $0.memory.totalBytes.live }
    add("totalBytes.peak", .bytes) { $0.memory.totalBytes.peak }
    add("touchedPages", .pages) { $0.workingSet.pages }
    func nanoseconds(_ name: String, _ value: (LockResult) -> DurationSummary?) {
      addIfAny(name, .nanoseconds) { $0.lock.flatMap(value).map { Int(clamping: $0.total.rawValue) } ?? 0 }
    }
    nanoseconds("lock.read.heldNs", \.readHold)
    nanoseconds("lock.write.heldNs", \.writeHold)
    nanoseconds("lock.read.waitNs", \.readWait)
    nanoseconds("lock.write.waitNs", \.writeWait)
    for kind in OperationKind.allCases {
      nanoseconds("lock.byOperation.\(kind.reportName).totalNs") { $0.byOperation[kind]?.hold }
    }
    return metrics
  }
}
