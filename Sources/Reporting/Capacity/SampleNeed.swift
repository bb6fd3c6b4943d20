internal import KVMTypes
internal import Stage2Model

/// What a VM of the plan needs if it is like a sample.
///
/// Where the sample's host is of the planned kind, RAM's mappings and tables grow with the RAM, those of other slots stay,
/// and what vCPUs hold grows with the vCPUs. Where it is not (another page size, another path), a sample only tells which
/// share of the RAM is touched: the least is blocks alone, the most pages alone, and of the larger of two pages as much as
/// one touched page of the other size may bring.
struct SampleNeed {
  let sample: VMSample
  let least: CapacityNeed
  let most: CapacityNeed
  private let overhead: VMOverhead

  /// Whether the sample's host is of the planned kind.
  var isOfPlannedKind: Bool { sample.kind == VMSample.Kind(overhead.profile) }

  init(_ sample: VMSample, _ overhead: VMOverhead, memoryBytes: UInt64) {
    self.sample = sample
    self.overhead = overhead
    if sample.kind == VMSample.Kind(overhead.profile) {
      let ratio = Double(memoryBytes) / Double(sample.ramBytes)
      least = Self.scaled(sample.peak, sample, overhead, memoryBytes, ratio: ratio)
      most = Self.scaled(sample.peakMost, sample, overhead, memoryBytes, ratio: ratio)
      return
    }
    let (page, other) = (overhead.profile.pageSize, sample.kind.pageSize)
    let growth = Double(max(page.bytes, other.bytes) / other.bytes)
    let shrinkage = Double(max(page.bytes, other.bytes) / page.bytes)
    func need(_ share: Double, blocks: Double) -> CapacityNeed {
      let bytes = UInt64((min(share, 1) * Double(memoryBytes)).rounded(.up))
      return CapacityNeed(overhead, touchedBytes: bytes, blockShare: blocks)
    }
    least = need(sample.touchedShare / shrinkage, blocks: 1)
    var most = need(sample.touchedShare * growth, blocks: 0)
    most.add(Self.apart(sample, overhead), overhead.profile)
    self.most = most
  }

  /// What a sample has at most beside RAM in one piece: tables at the ends of each stretch of its slots, and what it
  /// touched of slots that are no RAM, with the planned pages.
  static func apart(_ sample: VMSample, _ overhead: VMOverhead) -> (mappings: UInt64, tables: UInt64) {
    let (page, other) = (overhead.profile.pageSize, sample.kind.pageSize)
    let finer = max(page.bytes, other.bytes) / page.bytes
    let mappings = (sample.touchedFixedBytes >> other.shift) * finer
    let regions = sample.peak.fixedTables * (max(page.pmdBytes, other.pmdBytes) / page.pmdBytes)
    let ends = UInt64(sample.pieces * overhead.geometry.minPages)
    return (mappings, ends + min(regions, mappings))
  }

  /// The most that a VM of the plan can need: all of its RAM touched by pages, and what the samples have beside that, in
  /// slots, spare pages and tables.
  static func everything(_ needs: [SampleNeed], _ overhead: VMOverhead, memoryBytes: UInt64) -> CapacityNeed {
    var all = CapacityNeed(overhead, touchedBytes: memoryBytes, blockShare: 0)
    let apart = needs.map { Self.apart($0.sample, overhead) }
    all.add((apart.map(\.mappings).max() ?? 0, apart.map(\.tables).max() ?? 0), overhead.profile)
    for need in needs {
      all = all.most(need.most)
      if let mix = allTouched(need.sample, overhead, memoryBytes: memoryBytes) { all = all.most(mix) }
    }
    return all
  }

  /// The need of a VM that touches all of its RAM as the sample touched its part; nil where that cannot be told.
  static func allTouched(_ sample: VMSample, _ overhead: VMOverhead, memoryBytes: UInt64) -> CapacityNeed? {
    guard sample.kind == VMSample.Kind(overhead.profile), sample.touchedBytes > 0 else { return nil }
    return scaled(
      sample.peakMost, sample, overhead, memoryBytes,
      ratio: Double(memoryBytes) / Double(sample.touchedBytes))
  }

  private static func scaled(
    _ peak: Stage2Peak, _ sample: VMSample, _ overhead: VMOverhead, _ memoryBytes: UInt64, ratio: Double
  ) -> CapacityNeed {
    let profile = overhead.profile
    func scale(_ all: UInt64, _ fixed: UInt64, most: UInt64) -> UInt64 {
      let ram = (Double(all - fixed) * ratio).rounded(.up)
      return UInt64(min(ram, Double(most))) + fixed
    }
    var need = CapacityNeed(overhead)
    if profile.isPKVM {
      let mappings = scale(peak.mappings, peak.fixedMappings, most: memoryBytes >> profile.pageSize.shift)
      need.mappingTreeBytes = mappings * UInt64(profile.bytesPerNode)
    }
    let level3 = scale(
      peak.level3Tables, peak.fixedTables,
      most: CapacityNeed.quotient(memoryBytes, profile.pageSize.pmdBytes) + UInt64(sample.pieces))
    let recorded = (peak.tableBytes >> profile.pageSize.shift) - peak.level3Tables
    let (planned, own) = (overhead.upperTables(memoryBytes), overhead.upperTables(sample.ramBytes))
    // Where the VM has slots far apart, it has more of them than memory in one piece.
    let upper = planned + (recorded > own ? recorded - own : 0)
    need.tableBytes = (level3 + upper) << profile.pageSize.shift
    let spares = CapacityNeed.quotient(peak.memcacheBytes >> profile.pageSize.shift, UInt64(sample.vcpus))
    need.memcacheBytes = max(
      need.memcacheBytes, (spares * UInt64(overhead.vcpus)) << profile.pageSize.shift)
    return need
  }

  /// Between the least and the most.
  var middle: CapacityNeed {
    var need = least
    need.mappingTreeBytes += (most.mappingTreeBytes - min(need.mappingTreeBytes, most.mappingTreeBytes)) / 2
    need.tableBytes += (most.tableBytes - min(need.tableBytes, most.tableBytes)) / 2
    need.memcacheBytes += (most.memcacheBytes - min(need.memcacheBytes, most.memcacheBytes)) / 2
    return need
  }

  /// The figures that a host counts itself, from the least of the sample's last quarter to the most at its peak.
  func figure(_ figure: HostFigure) -> (low: Double?, high: Double) {
    let peak = Double(figure.value(sample.peak))
    let low = sample.curve.low.map { low in
      figure.value(least, overhead) * (peak > 0 ? min(Double(figure.value(low)) / peak, 1) : 1)
    }
    return (low, figure.value(most, overhead))
  }
}

/// What a host counts of its VMs' stage 2 itself, and all of it.
enum HostFigure: String, CaseIterable, Sendable {
  /// `struct pkvm_mapping` objects, in bytes.
  case mappingTreeBytes
  /// SecPageTables of `/proc/meminfo`.
  case secPageTablesBytes
  /// All that the model knows of.
  case totalBytes

  fileprivate func value(_ peak: Stage2Peak) -> UInt64 {
    switch self {
    case .mappingTreeBytes: peak.mappingTreeBytes
    case .secPageTablesBytes: peak.secPageTablesBytes
    case .totalBytes: peak.totalBytes
    }
  }

  fileprivate func value(_ point: VMCurve.Point) -> UInt64 {
    switch self {
    case .mappingTreeBytes: point.mappingTreeBytes
    case .secPageTablesBytes: point.secPageTablesBytes
    case .totalBytes: point.totalBytes
    }
  }

  /// Whether the PGD is in it.
  func hasPGD(_ overhead: VMOverhead) -> Bool {
    self == .totalBytes || self == .secPageTablesBytes && overhead.secPageTables.counts(.pgd)
  }

  /// The figure of a VM of the plan.
  func value(_ need: CapacityNeed, _ overhead: VMOverhead) -> Double {
    switch self {
    case .mappingTreeBytes: return Double(need.mappingTreeBytes)
    case .totalBytes: return Double(need.totalBytes)
    case .secPageTablesBytes:
      let tables = need.tableBytes + need.pgdBytes
      switch overhead.secPageTables {
      case .tables: return Double(tables)
      case .tablesAndMemcaches: return Double(tables + need.memcacheBytes)
      case .nothing: return 0
      }
    }
  }
}
